import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from models.conformal import TooFewCalibrationScoresError, needed_scores, p_value, threshold

SCORES = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=60)
RATES = st.one_of(
    st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.25, 0.29, 0.5]),
    st.floats(0.001, 0.999),
    st.builds(lambda a, b: a / (a + b), st.integers(1, 30), st.integers(1, 30)),
)

STEADY = settings(deadline=None, derandomize=True)


@STEADY
@given(SCORES, st.floats(-8, 8))
def test_p_value_is_its_definition(calibration: list[float], score: float) -> None:
    expected = (1 + sum(c >= score for c in calibration)) / (1 + len(calibration))
    assert p_value(score, calibration) == expected


@STEADY
@given(SCORES, RATES, st.lists(st.integers(-14, 14).map(lambda i: i / 2), min_size=1, max_size=20))
def test_flagged_exactly_when_the_p_value_is_within_the_rate(
    calibration: list[float], rate: float, scores: list[float]
) -> None:
    if len(calibration) < needed_scores(rate):
        with pytest.raises(TooFewCalibrationScoresError) as caught:
            threshold(calibration, rate)
        assert caught.value.needed == needed_scores(rate)
        assert caught.value.available == len(calibration)
        assert p_value(math.inf, calibration) > rate
        return
    flagged = np.array(scores) > threshold(calibration, rate)
    assert np.array_equal(flagged, p_value(scores, calibration) <= rate)


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 99), (0.02, 49), (0.05, 19), (0.1, 9), (0.5, 1), (0.3, 3)])
def test_needed_scores(rate: float, needed: int) -> None:
    assert needed_scores(rate) == needed
    threshold(np.arange(needed), rate)
    if needed > 1:
        with pytest.raises(TooFewCalibrationScoresError, match=str(needed)):
            threshold(np.arange(needed - 1), rate)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("n", [99, 250])
def test_realised_rate_on_exchangeable_scores(rate: float, n: int) -> None:
    rng = np.random.default_rng(7)
    trials = 4000
    draws = rng.gamma(2, size=(trials, n + 1))
    flagged = sum(row[0] > threshold(row[1:], rate) for row in draws)
    exact = math.floor(rate * (n + 1) + 1e-9) / (n + 1)
    assert exact <= rate
    assert binom.ppf(1e-4, trials, exact) <= flagged <= binom.ppf(1 - 1e-4, trials, exact)


def test_ties_only_lower_the_rate() -> None:
    rng = np.random.default_rng(7)
    draws = rng.integers(0, 8, size=(3000, 61))
    assert np.mean([row[0] > threshold(row[1:], 0.1) for row in draws]) <= 0.1


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        p_value(math.nan, [1.0])
    with pytest.raises(ValueError, match="NaN"):
        threshold([1.0, math.nan], 0.5)
    with pytest.raises(ValueError, match="no calibration"):
        p_value(1.0, [])
    for rate in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="rate"):
            threshold([1.0], rate)
