import io

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from models.heat_map import COLOURS, LEVEL, adjusted, colour, draw, labels, with_legend


def test_p_values_are_corrected_by_benjamini_and_yekutieli() -> None:
    found = adjusted(np.array([0.001, 0.5, 0.01, 0.03]))
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert found == pytest.approx([0.001 * 4 * harmonic, 1, 0.01 * 2 * harmonic, 0.03 * 4 / 3 * harmonic])
    assert len(adjusted(np.empty(0))) == 0


def test_photographs_are_framed_at_most_as_often_as_the_level() -> None:
    rng = np.random.default_rng(0)
    # Regions of a picture that depend on each other, as they do: all share half of what they are.
    shared = rng.normal(size=(400, 1)) * np.sqrt(0.5) + rng.normal(size=(400, 64)) * np.sqrt(0.5)
    framed = [(adjusted(row) <= LEVEL).any() for row in norm.sf(shared)]
    assert np.mean(framed) <= LEVEL


def test_colours_follow_the_p_value() -> None:
    assert [colour(value) for value in (1.0, 0.51, 0.5, 0.2, 0.05, 0.01, 0.0001)] == [
        *(COLOURS[0], COLOURS[0]),
        *COLOURS[1:],
        COLOURS[-1],
    ]
    assert len(labels()) == len(COLOURS)


def test_regions_lie_where_the_squares_do() -> None:
    picture = np.full((128, 256, 3), 128, dtype=np.uint8)
    places = np.array([[0, 0], [0, 256], [128, 384]])
    drawn = draw(
        picture, (256, 512), places, np.array([0.001, 0.9, 0.9]), np.array([0.01, 1, 1]), np.array([True, True, False])
    )
    assert drawn.size == (640, 320)
    pixels = np.asarray(drawn).astype(int)
    dark, light, untouched = pixels[80, 80], pixels[80, 400], pixels[240, 80]
    assert dark.sum() < light.sum()
    assert np.ptp(untouched) == 0
    frame = np.abs(pixels[:, :, 0] - 0x1C) + np.abs(pixels[:, :, 1]) + np.abs(pixels[:, :, 2] - 0xA8) == 0
    assert frame[:160, :160].any()
    assert not frame[:, 160:].any()
    hatched = pixels[170:310, 490:630]
    assert np.all(np.ptp(hatched, axis=2) == 0)
    assert hatched.std() > 5


def test_a_picture_as_thin_as_can_be_has_a_map() -> None:
    picture = np.full((1200, 1, 3), 128, dtype=np.uint8)
    places = np.array([[0, 0], [900_000, 0]])
    drawn = draw(picture, (937_000, 128), places, np.full(2, 0.5), np.full(2, 0.01), np.array([True, False]))
    assert max(drawn.size) <= 1600


def test_the_legend_makes_it_a_png_of_its_own() -> None:
    with Image.open(io.BytesIO(with_legend(Image.new("RGB", (300, 200))))) as image:
        assert image.format == "PNG"
        assert image.width >= 300
        assert image.height > 400
