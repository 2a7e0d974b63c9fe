import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from models.content import COUNT, SIMPLE, covariates, covariates_each

RNG = np.random.default_rng(0)


def patches(deviation: float, mean: float = 128, sigma: float = 0, colour: float = 0) -> npt.NDArray[np.uint8]:
    luma = RNG.normal(0, 1, (16, 64, 64, 1))
    if sigma:
        luma = gaussian_filter(luma, (0, sigma, sigma, 0))
        luma /= luma.std()
    tint = RNG.normal(0, 1, (16, 64, 64, 3)) * colour
    return np.asarray(mean + deviation * luma + tint).clip(0, 255).astype(np.uint8)


def test_there_are_33_finite_numbers_also_of_nothing() -> None:
    for given in (patches(0), patches(30), np.zeros((4, 64, 64, 3), np.uint8), np.full((4, 64, 64, 3), 255, np.uint8)):
        found = covariates(given)
        assert found.shape == (COUNT,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_residual_energy_is_that_of_the_kernel() -> None:
    # White noise of deviation s through SQ3 has deviation 1.5 s: the kernel's taps have squares that sum to 2.25.
    found = covariates(patches(10))
    assert np.exp(found[2]) == pytest.approx(15 + 0.5, rel=0.02)
    assert np.exp(found[0]) == pytest.approx(15 * np.sqrt(2 / np.pi) + 0.5, rel=0.02)


def test_each_part_sees_what_it_is_named_after() -> None:
    plain, busy, bright, coarse = patches(10), patches(30), patches(10, mean=180), patches(10, sigma=4)
    colourful = patches(10, colour=20)
    plain_c, busy_c, bright_c, coarse_c, colourful_c = map(covariates, (plain, busy, bright, coarse, colourful))
    assert (busy_c[:5] > plain_c[:5]).all()
    assert bright_c[5] == pytest.approx(180, abs=1)
    assert np.allclose(bright_c[:5], plain_c[:5], atol=0.05)
    assert coarse_c[0] < plain_c[0] - 1
    assert coarse_c[SIMPLE] - coarse_c[2] > plain_c[SIMPLE] - plain_c[2], "what is left of it is at scale 4"
    chroma = [13, 14, 21, 22, 27, 29]
    assert (colourful_c[chroma] > plain_c[chroma]).all()


def test_clipped_pixels_are_counted() -> None:
    given = patches(1)
    given[:, :32] = 0
    given[:, 32:48] = 255
    found = np.exp(covariates(given)[-2:])
    assert found[0] == pytest.approx(0.5, abs=1e-3)
    assert found[1] == pytest.approx(0.25, abs=1e-3)


def test_order_of_patches_is_nothing() -> None:
    given = patches(20, sigma=1, colour=3)
    assert np.allclose(covariates(given), covariates(given[::-1]), rtol=1e-4, atol=1e-4)


def test_each_square_is_described_by_itself() -> None:
    given = patches(20, sigma=1, colour=3)
    given[3] = 0
    assert np.array_equal(covariates_each(given), np.stack([covariates(one[None]) for one in given]))
    assert covariates_each(given[:0]).shape == (0, COUNT)
