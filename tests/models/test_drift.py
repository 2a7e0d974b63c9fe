from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, norm

from models import drift

STEADY = settings(deadline=None, derandomize=True, max_examples=50)
COUNTS = st.integers(0, 500)


@pytest.mark.parametrize(
    ("new", "here", "due"), [(0, 0, False), (0, 100, False), (39, 100, False), (40, 400, True), (40, 401, False)]
)
def test_new_photographs_count_by_their_share_and_their_number(new: int, here: int, due: bool) -> None:
    found = drift.new_photographs(new, here)
    assert (found.due, found.count_now, found.of_now) == (due, new, here)
    assert f"{new} of {here} photographs" in found.reason
    assert found.now == (new / here if here else None)


def test_makes_that_were_not_there_are_counted_and_the_most_frequent_named() -> None:
    now = {"Canon": 20, "Acme": 12, "Zenith": 15, "Able": 12, "Rare": 1}
    found = drift.unseen(drift.UNSEEN_MAKE, {"Canon": 70, "Nikon": 30}, now)
    assert (found.count_now, found.of_now, found.count_before, found.of_before) == (40, 60, 0, 100)
    assert "most of all Zenith (15), Able (12), Acme (12);" in found.reason
    # Clopper and Pearson: with the bound as share, 40 or more of 60 are to be seen once in 20.
    assert found.low is not None
    tail = sum(comb(60, k) * found.low**k * (1 - found.low) ** (60 - k) for k in range(40, 61))
    assert tail == pytest.approx(0.05)
    assert found.due


def test_a_make_makes_retraining_due_from_a_fifth_for_sure_and_of_enough_photographs() -> None:
    def due(others: int, of: int) -> bool:
        return drift.unseen(drift.UNSEEN_MODEL, {"Canon A": 9}, {"Canon A": of - others, "Acme B": others}).due

    assert not due(39, 39)
    assert due(40, 40)
    assert not due(20, 100 - 20)  # a quarter, of which the bound is 17%
    assert next(others for others in range(101) if due(others, 100)) == 28
    nothing = drift.unseen(drift.UNSEEN_MAKE, {"Canon": 9}, {})
    assert (nothing.now, nothing.low, nothing.due) == (None, None, False)


def test_without_photographs_before_no_make_is_called_unseen() -> None:
    found = drift.unseen(drift.UNSEEN_MAKE, {}, {"Canon": 90})
    assert not found.due
    assert "nothing to compare with" in found.reason


def test_a_tag_that_is_missing_more_often_is_found_by_chance_and_by_size() -> None:
    before = {"iso": 10, "make": 100, "flash": 20}
    now = {"iso": 60, "make": 120, "flash": 20}
    found = {each.subject: each for each in drift.missing_tags(before, 200, now, 200)}
    assert [tag for tag, each in found.items() if each.due] == ["iso"]
    iso = found["iso"]
    assert (iso.before, iso.now, iso.count_before, iso.count_now) == (0.05, 0.3, 10, 60)
    # Fisher's test by hand: all tables with these margins that are no likelier than the one seen, three looks.
    chances = hypergeom.pmf(np.arange(71), 400, 70, 200)
    exact = chances[chances <= chances[10] * (1 + 1e-9)].sum()
    assert iso.p_value == pytest.approx(3 * exact)
    assert "30.0% of 200 new photographs and was in 5.0% of 200" in iso.reason


def test_of_very_many_photographs_a_small_difference_is_sure_and_does_not_matter() -> None:
    (found,) = drift.missing_tags({"iso": 100_000}, 1_000_000, {"iso": 120_000}, 1_000_000)
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert not found.due


@STEADY
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_tag_means_the_same_missing_as_had(before: int, of_before: int, now: int, of_now: int) -> None:
    before, now = min(before, of_before), min(now, of_now)
    missing = drift.missing_tags({"iso": before}, of_before, {"iso": now}, of_now)
    had = drift.missing_tags({"iso": of_before - before}, of_before, {"iso": of_now - now}, of_now)
    assert [each.p_value for each in missing] == pytest.approx([each.p_value for each in had])
    assert bool(missing) == bool(of_before and of_now)


def test_holms_correction_is_that_of_the_book() -> None:
    # Three looks: .01 three times, .03 twice and never below the one before, .04 as it is and so neither.
    assert drift.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert drift.holm([]) == []
    assert drift.holm([0.9, 0.8]) == [1.0, 1.0]


@STEADY
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holms_correction_keeps_order_and_lies_between_none_and_bonferronis(values: list[float]) -> None:
    corrected = np.array(drift.holm(values))
    assert (corrected >= values).all()
    assert (corrected <= np.minimum(np.array(values) * len(values), 1) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(values, kind="stable")]) >= 0).all()


@STEADY
@given(COUNTS, COUNTS, COUNTS)
def test_what_became_of_new_photographs_adds_up(new: int, chosen: int, judged: int) -> None:
    chosen = min(chosen, new)
    found = drift.sample(new, chosen, min(judged, chosen))
    assert sum(each.count_now or 0 for each in found) == new
    assert {each.of_now for each in found} == {new}
    assert not any(each.due for each in found)


def test_photographs_that_score_higher_are_flagged_and_have_smaller_p_values() -> None:
    rng = np.random.default_rng(0)
    calibration = rng.normal(size=400)
    spread, flagged = drift.scores(rng.normal(1.0, size=200), calibration, 0.05)
    expected = norm.sf(norm.isf(0.05) - 1)  # 26%
    assert flagged.due
    assert flagged.now == pytest.approx(expected, abs=0.08)
    assert flagged.low is not None
    assert flagged.high is not None
    assert flagged.low < expected < flagged.high
    assert (flagged.count_before, flagged.of_before, flagged.of_now) == (20, 400, 200)
    assert spread.p_value is not None
    assert spread.p_value < 1e-6
    assert spread.before == pytest.approx(0.5, abs=0.01)
    assert not spread.due
    lower, none = drift.scores(rng.normal(-1.0, size=200), calibration, 0.05)
    assert lower.p_value == pytest.approx(1.0, abs=0.01)
    assert not none.due


def test_too_few_scores_say_nothing() -> None:
    calibration = np.arange(100.0)
    assert not any(each.due for each in drift.scores(np.full(19, 1000.0), calibration, 0.05))
    assert "19 new photographs were judged; 20 are needed" in drift.scores(np.zeros(19), calibration, 0.05)[0].reason
    assert drift.scores(np.full(20, 1000.0), calibration, 0.05)[1].due


def test_the_luck_of_a_small_calibration_is_not_taken_for_drift() -> None:
    rng = np.random.default_rng(1)
    due = small = 0
    for _ in range(400):
        spread, flagged = drift.scores(rng.normal(size=200), rng.normal(size=60), 0.05)
        due += flagged.due
        small += spread.p_value is not None and spread.p_value <= 0.05
    # The intervals alone call for it 13 times in 100, and the test against the uniform distribution 38 times.
    assert due <= 0.04 * 400
    assert small <= 0.08 * 400


def test_retraining_is_due_by_any_and_says_by_which() -> None:
    new, tags = drift.new_photographs(50, 100), drift.missing_tags({"iso": 0}, 50, {"iso": 50}, 50)
    verdict = drift.retraining([new, *tags, *drift.sample(50, 50, 50)])
    assert (verdict.due, verdict.reason) == (True, "due by new_photographs, missing_tag iso")
    verdict = drift.retraining([drift.new_photographs(0, 100)])
    assert (verdict.due, verdict.reason) == (False, "not due by any measure")
