"""The verdict's logic, on everything a detector can say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.answers import Judge, verdict_of
from models.abstention import TOO_SMALL, UNFAMILIAR, Reason
from models.combined import Examination
from tests.small_detector import small_detector
from warehouse.answers import CANNOT_TELL, GENERATED, PHOTOGRAPH
from warehouse.file_facts import Facts
from warehouse.places import RefusedError

shares = st.floats(0, 1)
reasons = st.sampled_from([None, TOO_SMALL, UNFAMILIAR])


def judge(simulated_only: bool = False) -> Judge:
    return Judge(small_detector(simulated_only), "0123", "1.0")


def facts(software: str | None = None) -> Facts:
    return Facts("ab", "JPEG", 512, 256, 1000, 92, "4:2:0", software)


def examined(p_value: float) -> Examination:
    places = np.zeros((8, 2), dtype=np.int64)
    return Examination(-p_value, p_value, {"one": p_value}, {"one": -p_value}, places, np.zeros(8))


@given(shares, st.floats(0.001, 0.999))
def test_generated_is_a_p_value_within_the_rate(p_value: float, fpr: float) -> None:
    assert (verdict_of(p_value, fpr) == GENERATED) == (p_value <= fpr)


@settings(deadline=None)  # the first asks for the detector
@given(shares, reasons)
def test_a_verdict_is_that_of_the_p_value_unless_there_is_a_reason(p_value: float, reason: Reason | None) -> None:
    answer = judge().answer("x.jpg", facts(), examined(p_value), reason, 6)
    by_score = GENERATED if p_value <= answer.false_positive_rate else PHOTOGRAPH
    assert answer.verdict == (by_score if reason is None else CANNOT_TELL)
    assert answer.would_have_said == (None if reason is None else by_score)
    assert (answer.reason is None) == (answer.reason_code is None) == (reason is None)
    assert (answer.squares, answer.usable_squares, answer.judged_area) == (8, 6, 1.0)
    assert not answer.failed


@settings(deadline=None)
@given(st.text(), st.text())
def test_what_cannot_be_read_is_never_a_photograph(code: str, detail: str) -> None:
    answer = judge().refused("x.jpg", None, RefusedError(code, detail))
    assert answer.verdict == CANNOT_TELL
    assert answer.failed
    assert answer.p_value is None
    assert answer.reason_code == code
    assert answer.reason
    assert "\n" not in answer.reason


def test_without_squares_the_reason_is_the_answer() -> None:
    answer = judge().answer("x.jpg", facts(), None, TOO_SMALL, 0)
    assert (answer.verdict, answer.reason_code, answer.p_value) == (CANNOT_TELL, "too_small", None)
    assert (answer.width, answer.height, answer.format) == (512, 256, "JPEG")


def test_a_detector_of_simulated_photographs_is_not_asked_about_others() -> None:
    assert judge(True).simulated_only(facts())
    assert not judge().simulated_only(facts())
    answer = judge(True).not_asked("x.jpg", facts())
    assert (answer.verdict, answer.reason_code) == (CANNOT_TELL, "only_simulated")


def test_the_threshold_is_where_the_verdict_turns() -> None:
    detector = small_detector()
    scores = detector.calibration.images["combined"]
    said = [verdict_of(detector.p_value("combined", score), detector.fpr) for score in scores]
    assert [verdict == GENERATED for verdict in said] == (scores > detector.threshold_of("combined")).tolist()
