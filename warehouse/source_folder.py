"""Pictures in a folder, walked recursively, and the careful reading of local files that all local sources share.

Walking and reading files of a local disk belong here; tables that name files to `source_table.py`.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from warehouse.home import UserError
from warehouse.places import MAX_BYTES, Listed, RefusedError
from warehouse.storage import Facts


@dataclass(frozen=True)
class FolderSource:
    """All files below a folder. The group is the first folder below it, else the file itself, led by the corpus."""

    folder: Path
    corpus: str = ""
    concurrency: int = 1

    def listing(self) -> list[Listed]:
        """All files below the folder; linked folders are not followed."""
        # One text for all files of a group: a listing may name millions.
        groups: dict[str, str] = {}
        named = ((uri, folder_group(self.corpus, uri)) for uri in sorted(walk(self.folder)))
        return [look_at(self.folder, uri, groups.setdefault(group, group)) for uri, group in named]

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a file below the folder."""
        return read_bytes(self.folder, uri)

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """Folders hold no containers."""
        raise UserError(f"{container.uri}: not a tar shard")

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """Where the file lies."""
        return checked_path(self.folder, uri)


@dataclass(frozen=True)
class LocalStorage:
    """Files of a local disk, named relative to a folder or absolutely."""

    folder: Path
    concurrency: int = 1

    def facts(self, names: Sequence[str]) -> list[Facts]:
        """What the disk says of the files."""
        listed = (look_at(self.folder, name, "") for name in names)
        return [Facts(item.size, item.modified_ns, item.etag) for item in listed]

    def glob(self, pattern: str) -> dict[str, Facts]:
        """The files whose names match."""
        names = sorted(path.relative_to(self.folder).as_posix() for path in self.folder.glob(pattern))
        return dict(zip(names, self.facts(names), strict=True))

    def read(self, name: str) -> bytes:
        """All of a file."""
        return read_bytes(self.folder, name)

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """A part of a file."""
        with self.open(name) as file:
            file.seek(start)
            return file.read(size)

    def open(self, name: str) -> BinaryIO:
        """A file of any size, to be read in order."""
        with _refusing():
            # Without waiting: a pipe is not to be waited for.
            opened = os.open(self.folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return os.fdopen(opened, "rb")
        os.close(opened)
        raise RefusedError("not_a_regular_file", "a folder, pipe, device or socket")

    def local_path(self, name: str) -> Path | None:
        """Where the file lies."""
        return checked_path(self.folder, name)


def folder_group(corpus: str, uri: str) -> str:
    """The group of a file that no table gives one: its first folder, else itself, led by the corpus.

    Led by the corpus so that folders of the same name in two corpora are two groups.
    """
    return f"{corpus}/{uri.split('/')[0]}"


def look_at(folder: Path, uri: str, group: str, columns: tuple[tuple[str, str], ...] = ()) -> Listed:
    """A local file as listed; without size and time where nothing is there.

    Neither changes when a permission does, so what may not be read says so in `etag`.
    """
    path = f"{folder}/{uri}" if not uri.startswith("/") else uri
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path costs more)
        etag = None if os.access(path, os.R_OK) and not uri.endswith("/") else "unreadable"
    except (OSError, ValueError):
        return Listed(uri, group, None, None, columns=columns)
    return Listed(uri, group, status.st_size, status.st_mtime_ns, etag, columns)


def checked_path(folder: Path, uri: str) -> Path:
    """The path of a regular file of a source, not empty and not too large. Raises RefusedError."""
    if uri.endswith("/"):
        raise RefusedError("unreadable", "a folder whose files cannot be listed: give permission to read it")
    path = folder / uri
    with _refusing():
        _check(path, folder, path.stat())
    return path


def read_bytes(folder: Path, uri: str) -> bytes:
    """The bytes of a listed file. Raises RefusedError where it is not to be read."""
    path = checked_path(folder, uri)
    with _refusing():
        # Looked at again once it is open, and opened without waiting: a name can become a pipe in between.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            _check(path, folder, os.fstat(opened))
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RefusedError("too_large", f"it grew beyond {MAX_BYTES} bytes while it was read")
    return data


@contextmanager
def _refusing() -> Iterator[None]:
    """What the disk says no with becomes a RefusedError."""
    try:
        yield
    except FileNotFoundError:
        raise RefusedError("missing", "no such file") from None
    except (OSError, ValueError) as error:
        raise RefusedError("unreadable", getattr(error, "strerror", None) or str(error)) from None


def _check(path: Path, folder: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("not_a_regular_file", "a folder, pipe, device or socket")
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise RefusedError("outside_source", "a link that leads out of the source")
    if status.st_size > MAX_BYTES:
        raise RefusedError("too_large", f"{status.st_size} bytes; at most {MAX_BYTES} are read")
    if status.st_size == 0:
        raise RefusedError("empty", "0 bytes")


def walk(root: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, in no order; linked folders are not followed.

    A folder below that cannot be listed is not lost: its path ends in a slash. Raises UserError where that is the root.
    """
    try:
        for folder, _, names in walk_folders(root, keep_closed=True):
            for name in names:
                yield folder + name
    except OSError as error:
        raise UserError(f"{root} cannot be listed: {error.strerror}: give permission to read it") from None


def walk_folders(root: Path, *, keep_closed: bool = False) -> Iterator[tuple[str, tuple[int, int], list[str]]]:
    """Every folder below a folder, and itself, in no order: its path, its inode and time of change, names of its files.

    The path is relative and ends in a slash, but for the folder itself, which is "". Linked folders are not followed
    and count as files. Raises OSError where one cannot be listed; with `keep_closed` only for the folder itself, and
    one below has no identity and one file without a name.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        path = f"{root}/{folder}"
        names, below = [], []
        try:
            # Before the entries are read: what comes later moves the time past this one.
            status = os.stat(path)  # noqa: PTH116 (a Path for each folder costs more than the call)
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        below.append(f"{folder}{entry.name}/")
                    else:
                        names.append(entry.name)
        except OSError:
            if not (folder and keep_closed):
                raise
            yield folder, (0, 0), [""]
            continue
        folders += below
        yield folder, (status.st_ino, status.st_mtime_ns), names
