"""Answers to the question whether a picture is a photograph: what one holds, and files of them, one JSON object a line.

Reading and writing answers belongs here; how a verdict comes about belongs to `assets/answers.py`, the page of answers
to `answer_page.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from warehouse.home import UserError
from warehouse.line_file import LineFile, opened
from warehouse.places import printable

PHOTOGRAPH, GENERATED, CANNOT_TELL = "photograph", "generated", "cannot_tell"


@dataclass(frozen=True)
class Answer:
    """What a detector says of one file.

    `verdict` is `photograph`, `generated`, or `cannot_tell` with `reason_code` and `reason`; then `would_have_said` is
    the verdict that the score alone would give, where there is one. `p_value`: the share of calibration photographs
    that look at least as generated as this picture (conformal; not the probability of being generated), and `parts`
    that of each kind of evidence alone. `false_positive_rate`: the share of photographs that are called generated.
    `score`: higher = more likely generated; `threshold` is the score above which a picture is. `track`: what the pixels
    passed before they were judged. `calibration` names the photographs, of which there are
    `calibration_photographs` from `calibration_sources`. `squares`: how many were looked at, `usable_squares` how
    many hold evidence, `judged_area` the share of the picture that the squares cover. `failed`: the file could not be
    read as a picture. What is not known is None.
    """

    file: str
    sha256: str | None
    verdict: str
    detector: str
    program: str
    track: str
    calibration: str
    calibration_photographs: int
    calibration_sources: int
    false_positive_rate: float
    threshold: float
    p_value: float | None = None
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    squares: int = 0
    usable_squares: int = 0
    judged_area: float = 0.0
    format: str | None = None
    width: int | None = None
    height: int | None = None
    reason_code: str | None = None
    reason: str | None = None
    would_have_said: str | None = None
    failed: bool = False


def as_line(answer: Answer) -> str:
    """An answer as one line of JSON; bytes of a name that are no text are written as escapes."""
    return printable(json.dumps(asdict(answer), ensure_ascii=False, allow_nan=False)) + "\n"


def of_line(line: str) -> Answer:
    """The answer that `as_line` wrote. ValueError where it is none."""
    found = json.loads(line)
    names = {item.name for item in fields(Answer)}
    if not isinstance(found, dict) or found.keys() != names:
        raise ValueError("no answer")
    return Answer(**found)


class Answers:
    """A file of answers that grows by whole lines; `open_answers` opens one."""

    def __init__(self, file: LineFile, kept: Sequence[Answer]) -> None:
        self._file = file
        self._lines = {(answer.file, answer.sha256, answer.detector) for answer in kept}
        self._by_content = {(answer.sha256, answer.detector): answer for answer in kept if answer.sha256 is not None}

    def known(self, file: str, sha256: str, detector: str) -> Answer | None:
        """The answer of this detector to this content, under this name; None where there is none."""
        found = self._by_content.get((sha256, detector))
        return None if found is None else replace(found, file=file)

    def add(self, answer: Answer) -> None:
        """Write an answer behind the others, unless it stands there. Raises UserError where it cannot be written."""
        key = (answer.file, answer.sha256, answer.detector)
        if key in self._lines:
            return
        self._file.append(as_line(answer).encode())
        self._lines.add(key)
        if answer.sha256 is not None:
            self._by_content[answer.sha256, answer.detector] = answer


@contextmanager
def open_answers(path: Path) -> Iterator[Answers]:
    """A file of answers, with those that stand there; a last line that a killed program left in part is cut off.

    Raises UserError where the file cannot be written or holds something else.
    """
    with opened(path) as file:
        try:
            if file.rest and not b'{"file": '.startswith(file.rest[:9]):
                raise ValueError("no beginning of an answer")
            kept = [of_line(line) for line in file.whole.decode().split("\n")[:-1]]
        except ValueError:
            said = f"{path} holds something other than answers of this program: name another file"
            raise UserError(said) from None
        file.cut_off_rest()
        yield Answers(file, kept)
