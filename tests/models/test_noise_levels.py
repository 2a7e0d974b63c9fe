"""Noise levels: against counting by hand, and what noise, brightness and clipping do to them."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import convolve2d

from models.content import luma
from models.noise_levels import COUNT, noise_levels

Pixels = npt.NDArray[np.uint8]

# Of one scale: 3 planes x 7 points, then 5 tones of a share and 3 planes x 3 points.
TONES, SCALE = 21, 71


def noisy(deviation: float, brightness: float = 100, count: int = 2, side: int = 128, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(brightness, deviation, (count, side, side, 3))).clip(0, 255).astype(np.uint8)


def test_levels_are_points_of_block_means_of_the_square_residual() -> None:
    squares = noisy(9)
    kernel = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    means = []
    for square in squares:
        residual = np.abs(convolve2d(luma(square).astype(np.float64), kernel, mode="valid"))
        means += [residual[r : r + 8, c : c + 8].mean() for r in range(0, 120, 8) for c in range(0, 120, 8)]
    found = noise_levels(squares)
    assert found.shape == (COUNT,)
    assert found[:7] == pytest.approx(np.log(np.quantile(means, (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)) + 0.02), 1e-4)


def test_more_noise_is_a_higher_level_at_every_scale_and_in_every_plane() -> None:
    calm, loud = noise_levels(noisy(4)), noise_levels(noisy(8))
    for scale in range(3):
        levels = slice(SCALE * scale, SCALE * scale + TONES)
        assert loud[levels] - calm[levels] == pytest.approx(np.log(2), abs=0.15)


def test_a_tone_that_few_blocks_have_has_no_level() -> None:
    dark, bright = (noise_levels(noisy(3, brightness, count=3)) for brightness in (15, 220))
    first, last = TONES, TONES + 4 * 10
    assert (dark[first], dark[last]) == (1, 0)
    assert (bright[first], bright[last]) == (0, 1)
    assert np.isfinite(dark[first + 1 : first + 10]).all()
    assert np.isnan(dark[last + 1 : last + 10]).all()
    assert np.isnan(dark).sum() == np.isnan(bright).sum() == 3 * 4 * 9


def test_tones_tell_clipping_and_colour() -> None:
    squares = noisy(0, 100)
    squares[..., 0] = 255
    squares[0, ..., 2] = 0
    tones = noise_levels(squares)[3 * SCALE :]
    red, green, blue = tones[:33].reshape(3, 11)
    assert red[-2:].tolist() == [1, 0]
    assert green[-2:].tolist() == [0, 0]
    assert blue[-2:].tolist() == [0, 0.5]
    assert green[:9] == pytest.approx(100 / 255)
    mean = (255 + 100 + 50) / 3 + 1
    assert tones[33:] == pytest.approx([205 / 255, 1, 255 / mean, 50 / mean], rel=1e-5)


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_picture_has_numbers(value: int) -> None:
    found = noise_levels(np.full((1, 128, 128, 3), value, dtype=np.uint8))
    assert found[:TONES] == pytest.approx(np.log(0.02), abs=1e-3)
    assert not np.isinf(found).any()


def test_squares_count_together_in_whatever_order() -> None:
    squares = np.concatenate([noisy(3, seed=1), noisy(20, seed=2)])
    assert noise_levels(squares[::-1]) == pytest.approx(noise_levels(squares), nan_ok=True)
