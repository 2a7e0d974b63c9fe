"""What every place has in common that files lie in, whatever names them: a disk, web servers, a bucket.

The interface belongs here, and remembering what was listed over the network. Disks are in `source_folder.py`, web
servers in `source_addresses.py`, buckets in `source_bucket.py`; tables and tar shards may lie in, or name files in, any
of them.
"""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from warehouse.places import Listed

REMEMBERED_S = 60.0
"""How long a listing over the network counts as that of now: one run asks for it several times."""
_remembered: dict[Hashable, tuple[float, list[Listed]]] = {}
_lock = threading.Lock()


class Facts(NamedTuple):
    """Size in bytes, time of change since 1970 and etag of a file, as `Listed` has them."""

    size: int | None = None
    modified_ns: int | None = None
    etag: str | None = None


class Storage(Protocol):
    """Files by name: relative to the storage's folder, or absolute. It is sent to worker processes."""

    @property
    def concurrency(self) -> int:
        """How many reads at once are worth while."""

    def facts(self, names: Sequence[str]) -> list[Facts]:
        """What can be known of files without reading them. Raises UserError where the storage is of no use at all."""

    def glob(self, pattern: str) -> dict[str, Facts]:
        """The files whose names match, sorted. Raises UserError where that cannot be asked."""

    def read(self, name: str) -> bytes:
        """All of a file. Raises RefusedError where it is not to be had, is empty or is larger than MAX_BYTES."""

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """A part of a file of any size; shorter where the file ends. Raises RefusedError."""

    def open(self, name: str) -> BinaryIO:
        """A file of any size, to be read in order and skipped through. It, and reading it, raise RefusedError."""

    def local_path(self, name: str) -> Path | None:
        """The path of a file on a local disk, None elsewhere. Raises RefusedError as `read` does."""


def remember(source: Hashable, listing: Callable[[], list[Listed]]) -> list[Listed]:
    """The listing of a source, asked for again once it is a minute old."""
    with _lock:
        found = _remembered.get(source)
    if found is not None and time.monotonic() - found[0] < REMEMBERED_S:
        return found[1]
    listed = listing()
    with _lock:
        now = time.monotonic()
        for old in [key for key, (since, _) in _remembered.items() if now - since >= REMEMBERED_S]:
            del _remembered[old]
        _remembered[source] = now, listed
    return listed


def forget() -> None:
    """Ask again for every listing: something is known to have changed."""
    with _lock:
        _remembered.clear()
