import io

import numpy as np
import pytest
from PIL import Image

from models.cutting import SIDE, cut_crops

RNG = np.random.default_rng(0)


def image(height: int, width: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (257, 300), (512, 512), (320, 900)])
def test_crops_are_the_stored_pixels_of_their_place(height: int, width: int) -> None:
    pixels = image(height, width)
    crops = cut_crops(pixels, 4, seed=1)
    assert crops
    assert len({(crop.x, crop.y) for crop in crops}) == len(crops)
    for crop in crops:
        with Image.open(io.BytesIO(crop.png)) as png:
            assert png.format == "PNG"
            assert np.array_equal(np.asarray(png), pixels[crop.y : crop.y + SIDE, crop.x : crop.x + SIDE])


def test_the_seed_decides_the_places() -> None:
    pixels = image(600, 800)
    assert cut_crops(pixels, 3, seed=5) == cut_crops(pixels, 3, seed=5)
    assert cut_crops(pixels, 3, seed=5) != cut_crops(pixels, 3, seed=6)


def test_a_picture_of_one_crop_gives_one() -> None:
    assert len(cut_crops(image(256, 256), 4, seed=0)) == 1


def test_a_picture_too_small_gives_none() -> None:
    assert cut_crops(image(255, 1000), 2, seed=0) == []


def test_two_crops_of_a_large_picture_hardly_overlap() -> None:
    for seed in range(20):
        one, two = cut_crops(image(1024, 1024), 2, seed)
        overlap = max(0, SIDE - abs(one.x - two.x)) * max(0, SIDE - abs(one.y - two.y))
        assert overlap < SIDE * SIDE / 4


def test_a_smaller_image_is_cut_whole_where_it_may_be() -> None:
    pixels = image(70, 300)
    assert cut_crops(pixels, 2, seed=0) == []
    crops = cut_crops(pixels, 2, seed=0, least=64)
    assert {crop.y for crop in crops} == {0}
    assert {crop.x for crop in crops} <= {0, 16, 32}
    for crop in crops:
        with Image.open(io.BytesIO(crop.png)) as png:
            assert np.array_equal(np.asarray(png), pixels[:, crop.x : crop.x + SIDE])
    (whole,) = cut_crops(image(64, 64), 2, seed=0, least=64)
    assert (whole.x, whole.y) == (0, 0)
    assert cut_crops(image(63, 400), 2, seed=0, least=64) == []
