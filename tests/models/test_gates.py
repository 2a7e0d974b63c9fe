import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.conformal import p_value
from models.gates import MARGIN, not_worse, realised_rate

VALUES = st.floats(0, 1)


def test_a_challenger_may_lose_the_margin_and_no_more() -> None:
    assert not_worse("AUROC", 0.66, 0.68, []).passed
    refused = not_worse("AUROC", 0.659, 0.68, [])
    assert not refused.passed
    assert refused.bound == pytest.approx(0.68 - MARGIN)
    assert "0.659 against the champion's 0.680" in refused.reason


def test_small_losses_do_not_add_up() -> None:
    """Each is within the margin of the one before, and the last is not within that of the best."""
    assert not_worse("AUROC", 0.685, 0.7, [0.7]).passed
    assert not not_worse("AUROC", 0.67, 0.685, [0.7, 0.685]).passed


@given(st.lists(VALUES), VALUES)
def test_without_anybody_to_compare_with_or_anything_to_measure_nobody_is_refused(
    former: list[float], value: float
) -> None:
    assert not_worse("AUROC", None, value, former).passed
    assert not_worse("AUROC", value, None, []).passed
    assert not_worse("AUROC", value, None, former).passed == (value >= max(former, default=0.0) - MARGIN)


def test_the_rate_of_a_calibrated_threshold_is_refused_about_as_seldom_as_the_interval_says() -> None:
    """Whole experiments: as many photographs calibrate as are judged, all alike."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        calibration, judged = rng.normal(size=100), rng.normal(size=100)
        flagged = p_value(judged, calibration) <= 0.05
        refused += not realised_rate("x", flagged, 0.05, 100).passed
    assert refused / 2000 < 0.015


def test_a_threshold_that_flags_too_many_is_refused_and_the_reason_has_both_numbers() -> None:
    gate = realised_rate("dev", np.arange(200) < 30, 0.05, 263)
    assert not gate.passed
    assert gate.value == pytest.approx(0.15)
    assert gate.low is not None
    assert gate.high is not None
    assert gate.low < 0.05 < gate.high < 0.15
    assert "15.0% of 200 photographs of dev flagged at a nominal 5%" in gate.reason
    assert realised_rate("dev", np.zeros(0, dtype=bool), 0.05, 263).passed
