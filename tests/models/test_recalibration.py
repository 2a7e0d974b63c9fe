from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.combined import COMBINED, Calibration, CombinedDetector, Spread, calibration_of, combine
from models.conformal import TooFewCalibrationScoresError, needed_scores, p_value
from models.recalibration import OtherDetectorError, Recalibration, Scored, recalibrate, recalibrated
from models.squares import Squares

Floats = npt.NDArray[np.float64]
STEADY = settings(deadline=None, derandomize=True, max_examples=40)
RATES = st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.4])
NO_PLACES = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Named:
    """A part that is only a name: scores are given."""

    name: str

    def scores(self, seen: Squares) -> Floats:
        raise NotImplementedError

    def stored(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return {"kind": "test", "name": self.name}, {}


def draw(rng: np.random.Generator, count: int, parts: int = 2, shift: float = 0.0, groups: int = 5) -> list[Scored]:
    """Photographs of alike groups, whose parts agree in part and whose squares, 1 to 6, agree in part."""
    drawn = []
    for number in range(count):
        squares, common = rng.integers(1, 7), rng.normal()
        scores = {
            f"part{part}": shift + common + rng.normal() + rng.normal(scale=2, size=squares) for part in range(parts)
        }
        drawn.append(Scored(f"group{number % groups}", scores))
    return drawn


def detector_of(photographs: list[Scored], fpr: float = 0.05) -> CombinedDetector:
    parts = {part: [one.scores[part] for one in photographs] for part in photographs[0].scores}
    spreads, calibration = calibration_of(parts, name="reference", sources=5)
    return CombinedDetector([Named(part) for part in parts], spreads, calibration, fpr, {})


def own_of(detector: CombinedDetector, photographs: list[Scored], fpr: float = 0.05) -> Recalibration:
    facts = {"source": "/archive", "listed": len(photographs)}
    return recalibrate(photographs, detector=detector.identity, name="own", fpr=fpr, facts=facts)


@STEADY
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 4), RATES)
def test_flagged_above_the_threshold_is_a_p_value_within_the_rate(
    seed: int, count: int, parts: int, fpr: float
) -> None:
    rng = np.random.default_rng(seed)
    detector = detector_of(draw(rng, 20, parts))
    photographs = draw(rng, count, parts)
    if count < needed_scores(fpr):
        with pytest.raises(TooFewCalibrationScoresError, match=f"at least {needed_scores(fpr)} .* there are {count}"):
            own_of(detector, photographs, fpr)
        return
    own = own_of(detector, photographs, fpr)
    assert own.photographs == count
    judge = recalibrated(detector, own)
    for one in draw(rng, 10, parts, shift=1):
        said = judge.judge(one.scores, NO_PLACES)
        assert (said.score > own.threshold) == (said.p_value <= fpr)


@STEADY
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0, 5))
def test_higher_scores_never_give_a_higher_p_value(seed: int, parts: int, more: float) -> None:
    rng = np.random.default_rng(seed)
    detector = detector_of(draw(rng, 30, parts))
    judge = recalibrated(detector, own_of(detector, draw(rng, 40, parts)))
    (one,) = draw(rng, 1, parts)
    low = judge.judge(one.scores, NO_PLACES)
    high = judge.judge({part: found + more for part, found in one.scores.items()}, NO_PLACES)
    assert high.score >= low.score
    assert high.p_value <= low.p_value


@STEADY
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.floats(-5, 5))
def test_p_values_do_not_depend_on_the_unit_of_a_parts_scores(seed: int, unit: float, origin: float) -> None:
    rng = np.random.default_rng(seed)
    photographs, (one,) = draw(rng, 30), draw(rng, 1)

    def other(photograph: Scored) -> Scored:
        return replace(photograph, scores={part: unit * found + origin for part, found in photograph.scores.items()})

    said = detector_of(photographs).judge(one.scores, NO_PLACES)
    again = detector_of([other(each) for each in photographs]).judge(other(one).scores, NO_PLACES)
    assert again.p_value == pytest.approx(said.p_value, abs=1.5 / 31)  # a tie may fall the other way


@STEADY
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=50, unique=True), st.floats(-5, 5))
def test_one_part_alone_gives_its_own_p_value(scores: list[float], score: float) -> None:
    images = np.array(scores)
    sorted_scores = {"part0": np.sort(images)}
    ranks = (p_value(images, images) * (len(images) + 1) - 1) / len(images)
    sorted_scores[COMBINED] = np.sort([combine({"part0": float(rank)}, len(images)) for rank in ranks])
    own = {"part0": Spread(0.0, 1.0, 0.0)}
    detector = CombinedDetector([Named("part0")], own, Calibration("", 1, sorted_scores, np.zeros(1)), 0.5, {})
    said = detector.judge({"part0": np.array([score])}, NO_PLACES)
    assert said.p_value == said.parts["part0"] == p_value(score, images)


@pytest.mark.parametrize("parts", [1, 4])
def test_the_rate_is_kept_on_exchangeable_photographs(parts: int) -> None:
    # One square for each photograph: spreads, which the photograph judged has no share in, do not enter ranks then.
    rng = np.random.default_rng(parts)
    count, fpr, trials, flagged = 19, 0.05, 1000, 0
    for _ in range(trials):
        scores = rng.normal(size=(count + 1, parts)) + rng.normal(size=(count + 1, 1))
        drawn = [Scored("", {str(part): row[part : part + 1] for part in range(parts)}) for row in scores]
        flagged += detector_of(drawn[1:]).judge(drawn[0].scores, NO_PLACES).p_value <= fpr
    # Ranked among all, themselves too, calibration photographs would let 8% through with four parts.
    assert flagged / trials <= fpr + 3 * np.sqrt(fpr * (1 - fpr) / trials)


def test_only_the_calibration_changes_and_the_identity_with_it() -> None:
    rng = np.random.default_rng(1)
    detector, photographs = detector_of(draw(rng, 40)), draw(rng, 50, shift=2)
    own = own_of(detector, photographs, fpr=0.1)
    other = recalibrated(detector, own)
    assert (other.parts, other.facts) == (detector.parts, detector.facts)
    assert (other.fpr, other.calibration.name, other.calibration.sources) == (0.1, "own", 5)
    assert other.identity != detector.identity
    # What was strange to the reference is not strange in its own archive.
    p_values = [[each.judge(one.scores, NO_PLACES).p_value for one in photographs] for each in (detector, other)]
    assert np.median(p_values[0]) < 0.1
    assert np.median(p_values[1]) == pytest.approx(0.5, abs=0.05)


def test_a_calibration_of_another_detector_is_refused() -> None:
    rng = np.random.default_rng(1)
    detector, other = detector_of(draw(rng, 40)), detector_of(draw(rng, 40))
    with pytest.raises(OtherDetectorError, match=f"own belongs to .* {detector.identity}, not to {other.identity}"):
        recalibrated(other, own_of(detector, draw(rng, 40)))


def test_the_file_gives_back_what_was_written_and_the_same_bytes() -> None:
    rng = np.random.default_rng(1)
    detector = detector_of(draw(rng, 40))
    own = own_of(detector, draw(rng, 40))
    content = own.to_bytes()
    again = Recalibration.from_bytes(content)
    assert again.to_bytes() == content
    assert (again.facts, again.spreads, again.fpr, again.threshold) == (own.facts, own.spreads, 0.05, own.threshold)
    assert recalibrated(detector, again).identity == recalibrated(detector, own).identity


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08" + bytes(7) + b"{}      "])
def test_other_files_are_no_calibrations(content: bytes) -> None:
    with pytest.raises(ValueError, match="no file of a calibration"):
        Recalibration.from_bytes(content)


@STEADY
@given(st.data())
def test_a_damaged_file_is_a_value_error_or_still_whole(data: st.DataObject) -> None:
    rng = np.random.default_rng(1)
    content = bytearray(own_of(detector_of(draw(rng, 20)), draw(rng, 20)).to_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ValueError):
        Recalibration.from_bytes(bytes(content))


def test_a_detectors_file_is_no_calibration() -> None:
    with pytest.raises(ValueError, match="no file of a calibration"):
        Recalibration.from_bytes(detector_of(draw(np.random.default_rng(1), 20)).to_bytes())
