import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from models.hand_features import COUNT, PREDICTORS, hand_features


def squares(count: int, sigma: float = 0, seed: int = 0) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(size=(count, 128, 128, 3))
    if sigma:
        noise = gaussian_filter(noise, (0, sigma, sigma, 0))
        noise /= noise.std()
    return np.asarray(128 + 30 * noise).clip(0, 255).astype(np.uint8)


def spectra(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return features[:, PREDICTORS:].reshape(-1, 2, 8, 8)


def test_there_are_187_finite_numbers_also_of_nothing() -> None:
    for given in (
        squares(3),
        squares(3, 2),
        np.zeros((1, 128, 128, 3), np.uint8),
        np.full((1, 128, 128, 3), 255, np.uint8),
    ):
        found = hand_features(given)
        assert found.shape == (len(given), COUNT) == (len(given), 187)
        assert found.dtype == np.float64
        assert np.isfinite(found).all()
    assert hand_features(squares(0)).shape == (0, 187)


def test_a_square_is_described_by_itself() -> None:
    given = squares(40, 1)
    together = hand_features(given)
    assert np.array_equal(together, np.concatenate([hand_features(one[None]) for one in given]))


def test_brightness_is_nothing() -> None:
    given = squares(4, 2) // 2
    assert np.allclose(hand_features(given), hand_features(given + 60), atol=2e-3)


def test_neighbours_predict_smooth_planes_and_not_noise() -> None:
    noise, smooth = (hand_features(given).mean(axis=0) for given in (squares(4), squares(4, 1)))
    # Noise less its mean over 25 pixels has some correlation of its own.
    assert -0.4 < noise[56] < 0
    assert smooth[56] < -3


def test_predictors_are_least_squares_of_the_pixels_around() -> None:
    given = squares(1, 0.7)
    plane = given[0].astype(np.float64) @ [0.299, 0.587, 0.114]
    windows = np.lib.stride_tricks.sliding_window_view(plane, (5, 5))
    rest = plane[2:-2, 2:-2] - windows.mean(axis=(2, 3))
    pixels = np.lib.stride_tricks.sliding_window_view(rest, (5, 5)).reshape(-1, 25)
    known, wanted = np.delete(pixels, 12, axis=1), pixels[:, 12]
    penalty = 1e-3 * np.square(known).sum() / 24 + 1
    weights = np.linalg.solve(known.T @ known + penalty * np.eye(24), known.T @ wanted)
    found = hand_features(given)[0]
    assert np.allclose(found[:24], weights, atol=1e-4)
    left = np.square(wanted - known @ weights).sum() / np.square(wanted).sum()
    assert found[56] == pytest.approx(np.log(left), abs=1e-3)


def test_a_wave_stands_in_the_cell_of_its_frequency() -> None:
    rows, columns = np.mgrid[:128, :128]
    for down, across in ((4, 9), (-4, 9), (13, 2)):
        wave = 128 + 60 * np.cos(2 * np.pi * (down * rows + across * columns) / 32)
        both = spectra(hand_features(np.repeat(wave[None, :, :, None], 3, axis=3).astype(np.uint8)))[0]
        for one in both:
            assert np.unravel_index(one.argmax(), one.shape) == ((abs(down) - 1) // 2, (across - 1) // 2)
            assert one.mean() == pytest.approx(0, abs=1e-5)


def test_enlargement_shows() -> None:
    small = squares(4)[:, ::2, ::2]
    enlarged = spectra(hand_features(np.kron(small, np.ones((1, 2, 2, 1), np.uint8)))).mean(axis=(0, 1))
    plain = spectra(hand_features(squares(4))).mean(axis=(0, 1))
    assert enlarged[7, 7] < plain[7, 7] - 2
