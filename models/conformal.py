"""Conformal p-values and thresholds from scores of calibration photographs.

What belongs here: ranking a score among calibration scores, and the threshold that goes with a false-positive
rate. What does not: where the scores come from. A higher score = more likely generated. The guarantee is for
photographs exchangeable with the calibration set, and on average over calibration sets of that size.
"""

import math

import numpy as np
import numpy.typing as npt


class TooFewCalibrationScoresError(ValueError):
    """There are too few calibration scores for any score to be flagged at the asked rate."""

    def __init__(self, fpr: float, needed: int, available: int) -> None:
        super().__init__(
            f"a false-positive rate of {fpr:g} needs at least {needed} calibration scores, there are {available}"
        )
        self.needed = needed
        self.available = available


def p_value(scores: npt.ArrayLike, calibration_scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Conformal p-value of each score: (1 + #{calibration >= score}) / (1 + n), in the shape of `scores`.

    Raises `ValueError` when a score is NaN or there is no calibration score.
    """
    calibration = _sorted(calibration_scores)
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    at_least = calibration.size - np.searchsorted(calibration, values, side="left")
    return np.asarray((1 + at_least) / (1 + calibration.size), dtype=np.float64)


def threshold(calibration_scores: npt.ArrayLike, fpr: float) -> float:
    """Give the threshold at which `score > threshold` is the same as `p_value(score) <= fpr`.

    So at most the share `fpr` (0 < fpr < 1) of photographs exchangeable with the calibration set is flagged.
    Raises `TooFewCalibrationScoresError` when fewer than 1 / fpr - 1 scores are given.
    """
    calibration = _sorted(calibration_scores)
    n = calibration.size
    rank = largest_rank(fpr, n)
    if rank < 1:
        raise TooFewCalibrationScoresError(fpr, needed_scores(fpr), n)
    if rank > n:
        return -math.inf
    return float(calibration[n - rank])


def needed_scores(fpr: float) -> int:
    """Give the smallest number of calibration scores with which the rate `fpr` (0 < fpr < 1) can be kept."""
    _check_rate(fpr)
    needed = max(math.ceil(1 / fpr) - 1, 1)
    while 1 / (1 + needed) > fpr:
        needed += 1
    while needed > 1 and 1 / needed <= fpr:
        needed -= 1
    return needed


def largest_rank(fpr: float, n: int) -> int:
    """Give the largest r with r / (n + 1) <= fpr, in the arithmetic `p_value` uses; 0 where n scores are too few."""
    _check_rate(fpr)
    rank = math.floor(fpr * (n + 1))
    while (rank + 1) / (n + 1) <= fpr:
        rank += 1
    while rank / (n + 1) > fpr:
        rank -= 1
    return rank


def _check_rate(fpr: float) -> None:
    if not 0 < fpr < 1:
        raise ValueError(f"a false-positive rate lies between 0 and 1, not {fpr}")


def _sorted(calibration_scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    calibration = np.sort(np.asarray(calibration_scores, dtype=np.float64).ravel())
    if calibration.size == 0:
        raise ValueError("there are no calibration scores")
    if np.isnan(calibration).any():
        raise ValueError("a calibration score is NaN")
    return calibration
