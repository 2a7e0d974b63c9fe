"""Scores of pictures as they come, so that a run that is killed is not begun again: one line of JSON for each.

Writing and reading such a file belong here; what is scored, and for what, to who asks for it. A line counts once it
ends: what a kill left half written is cut off and done again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from warehouse.line_file import LineFile, opened

Scores = Mapping[str, Sequence[float]]
"""By part of a detector, the scores of a picture's squares."""


class ScoreLog:
    """Scores by the SHA-256 of the picture, those of an earlier run too; `logging` opens one."""

    def __init__(self, file: LineFile) -> None:
        self._file = file
        self._known: dict[str, Scores] = {}
        for line in file.whole.splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["sha256"]] = entry["scores"]
            except (ValueError, KeyError, TypeError):
                continue  # a damaged line costs one picture

    def get(self, sha256: str) -> Scores | None:
        """The scores of a picture, None where there are none yet."""
        return self._known.get(sha256)

    def add(self, sha256: str, scores: Scores) -> None:
        """Keep the scores of a picture, from now on and for the next run. Raises UserError where that cannot be."""
        self._file.append(json.dumps({"sha256": sha256, "scores": scores}).encode() + b"\n")
        self._known[sha256] = scores


@contextmanager
def logging(path: Path) -> Iterator[ScoreLog]:
    """The log at a path, made where there is none. Raises UserError where it cannot be written."""
    with opened(path) as file:
        file.cut_off_rest()
        yield ScoreLog(file)
