"""A file that grows by whole lines, so that a program that is killed goes on where it was.

Cutting off what a kill left half written, and writing a line whole or saying why not, belong here; what lines hold
belongs to `answers.py` and `score_log.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.home import as_user_error


class LineFile:
    """The open file: `whole` are the bytes of its whole lines, `rest` what stands behind them. `opened` opens one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        content = path.read_bytes()
        length = content.rfind(b"\n") + 1
        self.whole, self.rest = content[:length], content[length:]
        self._path, self._descriptor = path, descriptor

    def cut_off_rest(self) -> None:
        """Remove what stands behind the last whole line."""
        os.ftruncate(self._descriptor, len(self.whole))

    def append(self, line: bytes) -> None:
        """Write a line behind the others. Raises UserError where it cannot be written."""
        left = memoryview(line)
        try:
            while left:  # a disk that is nearly full takes a part, and says so at the next call
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise as_user_error(error, self._path) from None


@contextmanager
def opened(path: Path) -> Iterator[LineFile]:
    """The file at a path, made where there is none; flushed to disk at the end. Raises UserError where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise as_user_error(error, path) from None
    try:
        try:
            lines = LineFile(path, descriptor)
        except OSError as error:
            raise as_user_error(error, path) from None
        yield lines
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
