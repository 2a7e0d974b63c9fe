import io

import numpy as np
import pytest
from PIL import Image

from models.tracks import SMALLER_THAN_256, TRACKS, apply_track, calibrated_as, tracks_of


def test_the_tracks() -> None:
    assert TRACKS == ("as_shipped", "format_matched")
    with pytest.raises(ValueError, match="unknown track"):
        apply_track(np.zeros((256, 256, 3), np.uint8), "elsewhere")


def test_as_shipped_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    result = apply_track(image, "as_shipped")
    assert result.reason is None
    assert result.image is image


@pytest.mark.parametrize("shape", [(256, 256), (300, 511), (511, 300), (257, 256)])
def test_format_matched_is_one_jpeg_of_the_central_crop(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    top, left = (shape[0] - 256) // 2, (shape[1] - 256) // 2
    buffer = io.BytesIO()
    crop = Image.fromarray(image).crop((left, top, left + 256, top + 256))
    crop.save(buffer, "JPEG", quality=90, subsampling=2)
    expected = np.asarray(Image.open(buffer))
    result = apply_track(image, "format_matched")
    assert result.image is not None
    assert np.array_equal(result.image, expected)


def test_crop_is_central_in_a_wide_image() -> None:
    image = np.zeros((256, 768, 3), np.uint8)
    image[:, 256:512] = 200
    result = apply_track(image, "format_matched").image
    assert result is not None
    assert (result == 200).all()


@pytest.mark.parametrize("shape", [(255, 4000), (4000, 255), (10, 10)])
def test_small_images_are_not_scored(shape: tuple[int, int]) -> None:
    result = apply_track(np.zeros((*shape, 3), np.uint8), "format_matched")
    assert result.image is None
    assert result.reason == SMALLER_THAN_256 == "smaller_than_256"


def test_a_wild_set_is_as_shipped_under_another_name() -> None:
    assert tracks_of(wild=False) == ("as_shipped", "format_matched")
    assert tracks_of(wild=True) == ("in_the_wild", "format_matched")
    assert calibrated_as("in_the_wild") == "as_shipped"
    assert calibrated_as("format_matched") == "format_matched"
    image = np.zeros((20, 30, 3), np.uint8)
    assert apply_track(image, "in_the_wild").image is image
