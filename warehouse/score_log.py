"""Scores of pictures as they come, so that a run that is killed is not begun again: one line of JSON for each.

Writing and reading such a file belong here; what is scored, and for what, to who asks for it. A line counts once it
ends: what a kill left half written is cut off and done again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from warehouse.home import as_user_error

Scores = Mapping[str, Sequence[float]]
"""By part of a detector, the scores of a picture's squares."""


class ScoreLog:
    """Scores by the SHA-256 of the picture, those of an earlier run too; `logging` opens one."""

    def __init__(self, path: Path) -> None:
        whole = _whole_lines(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._known: dict[str, Scores] = {}
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["sha256"]] = entry["scores"]
            except (ValueError, KeyError, TypeError):
                continue  # a damaged line costs one picture
        self._file = path.open("ab", buffering=0)
        self._file.truncate(len(whole))

    def get(self, sha256: str) -> Scores | None:
        """The scores of a picture, None where there are none yet."""
        return self._known.get(sha256)

    def add(self, sha256: str, scores: Scores) -> None:
        """Keep the scores of a picture, from now on and for the next run. Raises UserError where that cannot be."""
        line = json.dumps({"sha256": sha256, "scores": scores}).encode() + b"\n"
        try:
            written = self._file.write(line)
            while written < len(line):  # a disk that is nearly full takes a part, and says so at the next call
                written += self._file.write(line[written:])
        except OSError as error:
            raise as_user_error(error, self._path) from None
        self._known[sha256] = scores

    def close(self) -> None:
        """Write no more."""
        self._file.close()


@contextmanager
def logging(path: Path) -> Iterator[ScoreLog]:
    """The log at a path, made where there is none. Raises UserError where it cannot be written."""
    try:
        log = ScoreLog(path)
    except OSError as error:
        raise as_user_error(error, path) from None
    try:
        yield log
    finally:
        log.close()


def _whole_lines(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]
