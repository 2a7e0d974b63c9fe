"""Pictures in the form in which exiftool is given them: names of open files, whatever the files are called.

Opening local files, holding bytes without a disk, and noticing that a file changes belong here; running exiftool
belongs to `exiftool_process.py`.

exiftool is told to open `/proc/<our process>/fd/<number>`. So a name cannot be taken for an option, nor end a line, and
need not be text; between our look at a file and exiftool's no other can take its name; and what exiftool prints depends
on the content alone, as it does not see an extension. Where there is no `/proc` (macOS) it is told absolute paths,
names with control characters are refused, and bytes lie in a temporary file.
"""

import os
import stat
import sys
import tempfile
import unicodedata
from contextlib import ExitStack
from pathlib import Path

from warehouse.places import RefusedError

BY_DESCRIPTOR = sys.platform == "linux" and Path("/proc/self/fd").is_dir()


class ExifFile:
    """A file held open until exiftool has answered. `name` is what exiftool opens; `closing` ends what holds it."""

    def __init__(self, descriptor: int, name: str, closing: ExitStack) -> None:
        self.name = f"/proc/{os.getpid()}/fd/{descriptor}" if BY_DESCRIPTOR else name
        self._opened = os.fstat(descriptor)
        self.closing = closing

    def check(self, size: int | None, modified_ns: int | None) -> None:
        """Raises RefusedError where the file is not of this size in bytes and time of change; None is not compared."""
        found = self._opened
        if size not in {None, found.st_size} or modified_ns not in {None, found.st_mtime_ns}:
            raise RefusedError("changed_meanwhile", "the file changed after it was crawled: run again")

    def settle(self) -> None:
        """Close it. Raises RefusedError where it changed while it was open."""
        before = self._opened
        try:
            if self._now() != (before.st_ino, before.st_size, before.st_mtime_ns):
                raise RefusedError("changed_meanwhile", "the file changed while it was read: run again")
        finally:
            self.close()

    def close(self) -> None:
        """Close it."""
        self.closing.close()

    def _now(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self.name)  # noqa: PTH116 (a Path for each file costs more than the call)
        except OSError as error:
            raise RefusedError("changed_meanwhile", f"the file went away ({error.strerror}): run again") from None
        return status.st_ino, status.st_size, status.st_mtime_ns


def open_file(path: Path, size: int | None = None, modified_ns: int | None = None) -> ExifFile:
    """A local file, of this size in bytes and time of change where they are known.

    Raises RefusedError where it cannot be read, is no regular file or has changed. Pipes and devices are not opened.
    """
    try:
        _check_regular(path.stat())
        if not BY_DESCRIPTOR and any(unicodedata.category(c) == "Cc" for c in str(path)):
            raise RefusedError("unreadable", "the file name holds control characters")
        # Opened without waiting, and looked at again once it is open: a name can become a pipe in between.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RefusedError("missing", "no such file") from None
    except (OSError, ValueError) as error:
        raise RefusedError("unreadable", getattr(error, "strerror", None) or "invalid name") from None
    with ExitStack() as closing:
        closing.callback(os.close, descriptor)
        _check_regular(os.fstat(descriptor))
        file = ExifFile(descriptor, str(path.absolute()), closing.pop_all())
    try:
        file.check(size, modified_ns)
    except RefusedError:
        file.close()
        raise
    return file


def hold(data: bytes) -> ExifFile:
    """Bytes as a file: in memory on Linux, elsewhere a temporary file that goes when it is closed."""
    with ExitStack() as closing:
        if BY_DESCRIPTOR:
            descriptor, name = os.memfd_create("picture"), ""
        else:
            descriptor, name = tempfile.mkstemp(prefix="sdaie-")
            closing.callback(os.unlink, name)
        closing.callback(os.close, descriptor)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        return ExifFile(descriptor, name, closing.pop_all())


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("not_a_regular_file", "a folder, pipe, device or socket")
