"""What JPEG keeps of squares, found again in their pixels."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.fft import idctn

from models.coefficients import BLOCK, COUNT, _steps, coefficients, zigzag
from models.content import luma
from models.squares import SIDE, squares

# Of quality 90, row by row: half of the table of luma in ITU-T T.81, annex K.1, is 1/5 of it, rounded.
FIRST_STEPS = [3, 2, 2, 3, 5, 8, 10, 12]
# Number in the zigzag of the first row and the first column.
ROW, COLUMN = [0, 1, 5, 6, 14, 15, 27, 28], [0, 2, 3, 9, 10, 20, 21, 35]


def of_photograph(seed: int = 0) -> npt.NDArray[np.uint8]:
    """Squares with structure at every scale, as `squares` gives them."""
    rng = np.random.default_rng(seed)
    image = np.zeros((256, 256, 3))
    for s in (1, 4, 16, 64):
        image += np.kron(rng.normal(0, 8, (256 // s, 256 // s, 3)), np.ones((s, s, 1)))
    return squares((128 + image).clip(0, 255).astype(np.uint8)).pixels


def test_a_grey_square_has_its_level_and_nothing_else() -> None:
    found = coefficients(np.full((1, SIDE, SIDE, 3), 131, dtype=np.uint8))
    assert found.shape == (1, COUNT, SIDE // BLOCK, SIDE // BLOCK)
    assert found.dtype == np.int16
    assert (found[:, 0] == (131 - 128) * BLOCK / FIRST_STEPS[0]).all()
    assert (found[:, 1:] == 0).all()


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("frequency", range(1, 8))
def test_a_wave_is_one_coefficient(frequency: int, across: bool) -> None:
    wave = np.cos((np.arange(SIDE) % BLOCK + 0.5) * frequency * np.pi / BLOCK) * 60
    plane = np.tile(wave, (SIDE, 1)) + 128
    plane = plane if across else plane.T
    found = coefficients(np.repeat(plane.round().astype(np.uint8)[None, :, :, None], 3, axis=-1))[0]
    place = (ROW if across else COLUMN)[frequency]
    # Rounding to whole grey levels may add a step or so elsewhere.
    found[place], there = 0, found[place].copy()
    assert np.abs(found).max() <= 1
    if across:
        # The transform is orthonormal: 60 times the square root of 64 / 2.
        assert np.abs(there - 60 * 32**0.5 / FIRST_STEPS[frequency]).max() <= 1
    else:
        assert (there > 10).all()


def test_pixels_follow_from_them() -> None:
    pixels = of_photograph()
    found = coefficients(pixels).transpose(0, 2, 3, 1)
    assert (found != 0).any(axis=(0, 1, 2)).all()
    placed = np.empty(found.shape)
    placed[..., zigzag()] = found
    planes = idctn(placed.reshape(*found.shape[:3], BLOCK, BLOCK) * _steps(), axes=(-2, -1), norm="ortho") + 128
    there = luma(pixels).reshape(len(pixels), SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).transpose(0, 1, 3, 2, 4)
    # A pixel is three rounded numbers, and rounded chroma that is not clipped leaves luma alone.
    assert np.abs(planes - there).mean() < 0.5
