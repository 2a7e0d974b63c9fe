"""The verdict: what a detector's examination of a picture comes to, and why there is none.

Pure functions from what was seen to an answer belong here; reading files and asking the detector to `detection.py`,
what an answer holds to `warehouse/answers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.squares import SIDE
from models.tracks import AS_SHIPPED
from warehouse.answers import CANNOT_TELL, GENERATED, PHOTOGRAPH, Answer
from warehouse.exif_rules import SIMULATOR
from warehouse.file_facts import Facts
from warehouse.places import RefusedError

if TYPE_CHECKING:
    from models.abstention import Reason
    from models.combined import CombinedDetector, Examination

ONLY_SIMULATED = "only_simulated"
_ONLY_SIMULATED = (
    "The detector has seen simulated photographs only: register real ones with `sdaie corpus add` and `sdaie run`."
)


def verdict_of(p_value: float, fpr: float) -> str:
    """`generated` exactly where the p-value is at most the false-positive rate."""
    return GENERATED if p_value <= fpr else PHOTOGRAPH


@dataclass(frozen=True)
class Judge:
    """A detector that answers. `identity` stands for its file, `program` is the version of this program."""

    detector: CombinedDetector
    identity: str
    program: str

    def refused(self, file: str, sha256: str | None, error: RefusedError) -> Answer:
        """The answer for a file that cannot be read as a picture."""
        return self._nothing(file, sha256, error.reason, _sentence(error.detail), failed=True)

    def simulated_only(self, facts: Facts) -> bool:
        """Whether the detector knows simulated photographs alone, and this is none."""
        return bool(self.detector.facts.get("simulated_only")) and facts.software != SIMULATOR

    def not_asked(self, file: str, facts: Facts) -> Answer:
        """The answer for a real picture by a detector that knows simulated ones alone."""
        return _with_facts(self._nothing(file, facts.sha256, ONLY_SIMULATED, _ONLY_SIMULATED), facts)

    def answer(self, file: str, facts: Facts, found: Examination | None, reason: Reason | None, usable: int) -> Answer:
        """The answer for a picture.

        `found` is what the detector says, None where it has nothing to look at; `reason` why that is no verdict;
        `usable` how many squares hold evidence. ValueError where there is neither.
        """
        if found is None:
            if reason is None:
                raise ValueError("nothing was found, and no reason given")
            return _with_facts(self._nothing(file, facts.sha256, reason.code, reason.sentence), facts)
        said = verdict_of(found.p_value, self.detector.fpr)
        empty = self._nothing(file, facts.sha256, "", "")
        return replace(
            _with_facts(empty, facts),
            verdict=said if reason is None else CANNOT_TELL,
            p_value=found.p_value,
            score=found.score,
            parts=dict(found.parts),
            squares=len(found.places),
            usable_squares=usable,
            judged_area=_area(len(found.places), facts),
            reason_code=None if reason is None else reason.code,
            reason=None if reason is None else reason.sentence,
            would_have_said=None if reason is None else said,
        )

    def _nothing(self, file: str, sha256: str | None, code: str, sentence: str, failed: bool = False) -> Answer:
        from models.combined import COMBINED

        calibration = self.detector.calibration
        return Answer(
            file=file,
            sha256=sha256,
            verdict=CANNOT_TELL,
            detector=self.identity,
            program=self.program,
            track=AS_SHIPPED,
            calibration=calibration.name,
            calibration_photographs=self.detector.calibrated_on,
            calibration_sources=calibration.sources,
            false_positive_rate=self.detector.fpr,
            threshold=self.detector.threshold_of(COMBINED),
            reason_code=code,
            reason=sentence,
            failed=failed,
        )


def _with_facts(answer: Answer, facts: Facts) -> Answer:
    return replace(answer, format=facts.format, width=facts.width, height=facts.height)


def _area(squares: int, facts: Facts) -> float:
    if facts.width is None or facts.height is None:
        return 0.0
    return squares * SIDE**2 / (facts.width * facts.height)


def _sentence(detail: str) -> str:
    """A detail as a sentence, on one line."""
    words = " ".join(detail.split())
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
