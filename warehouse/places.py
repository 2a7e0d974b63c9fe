"""What every source of pictures has in common: what a listing tells, where a picture lies, and how bytes are had.

The interface belongs here, and nothing about any one kind of source: those are the modules `source_*.py`. Choosing the
one that a registered name means belongs to `sources.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from warehouse.home import canonical_json

MAX_BYTES = 256 * 1024 * 1024
"""Larger files are not read."""


class RefusedError(Exception):
    """A file that is not taken: a reason code and the reason in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it can be pickled
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a source: its uri, its group, and what tells that it changed.

    `size` in bytes, `modified_ns` since 1970 and `etag` are None where the source does not tell them; all three are
    where nothing is there. A source that does not know at the moment whether something is there (a server that fails)
    gives an `etag` that says why, so that what is listed changes when it does. `columns` are further columns of a table
    of files or fields beside a picture in a tar shard, name and value, sorted. `span` is `offset+size` of a picture in
    a tar shard. `is_container`: a tar shard, whose `members` are the pictures; its group is of no use.
    """

    uri: str
    group: str
    size: int | None
    modified_ns: int | None
    etag: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    span: str | None = None
    is_container: bool = False


def printable(name: str) -> str:
    """A name as a table can hold it: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def source_json(columns: tuple[tuple[str, str], ...]) -> str | None:
    """Further columns as a table holds them: a JSON object with keys `source_NAME`, None where there are none."""
    if not columns:
        return None
    return printable(canonical_json({f"source_{name}": value for name, value in columns}))


class Place(NamedTuple):
    """Where a picture of known content lies: SHA-256, corpus or set, uri there, and its bytes within a tar shard.

    `span` is as in `Listed`. `size` and `modified_ns` are what the listing said, None where that is not known.
    """

    sha256: str
    source: str
    uri: str
    span: str | None = None
    size: int | None = None
    modified_ns: int | None = None


class Source(Protocol):
    """Where pictures come from. It is sent to worker processes; what it opens, it opens there."""

    @property
    def concurrency(self) -> int:
        """How many reads at once are worth while: 1 where the disk is local."""

    def listing(self) -> list[Listed]:
        """All files, sorted by uri, each once. Raises UserError where the source as a whole cannot be listed."""

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a listed file or of a member of a tar shard. Raises RefusedError where they cannot be had."""

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """The files in a tar shard with their bytes, in one pass.

        Raises RefusedError where the shard cannot be read from here on; what was yielded before stands.
        """

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """The path of a file of its own on a local disk; None elsewhere. Raises RefusedError as `read` does."""
