import numpy as np

from models.content import covariates
from models.squares import SIDE, squares
from tests.models.synthetic_images import picture


def test_every_square_has_its_own_content() -> None:
    seen = squares(picture(np.random.default_rng(0), False, 400))
    assert len(seen) == 9
    assert seen.pixels.shape == (9, SIDE, SIDE, 3)
    assert seen.covariates.dtype == np.float64
    for pixels, content in zip(seen.pixels, seen.covariates, strict=True):
        assert np.array_equal(covariates(pixels[None]), content.astype(np.float32))


def test_an_image_without_room_has_none() -> None:
    seen = squares(np.zeros((127, 500, 3), np.uint8))
    assert len(seen) == 0
    assert seen.covariates.shape == (0, 33)
