"""Pictures in a bucket, or in whatever else fsspec reads: files by address, and all that lie below a prefix.

How fsspec is asked, and what its many stores answer, belongs here. Credentials and endpoints are those that each store
takes from the environment; its retries are its own. Reasons of refusal: `missing`, `no_permission`, `unreachable` (all
else that a store fails with), `too_large`, `empty`.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from warehouse.addresses import is_address, protocol
from warehouse.home import UserError
from warehouse.places import MAX_BYTES, Listed, RefusedError
from warehouse.registry import Network
from warehouse.source_folder import folder_group
from warehouse.storage import Facts, remember

BLOCK = 8 * 1024 * 1024
"""Bytes of a shard that are asked for at once."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_ETAGS = ("ETag", "etag")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class BucketStorage:
    """Files below an address of fsspec's, named relative to it, or by an address of the same protocol."""

    folder: str
    network: Network

    @property
    def concurrency(self) -> int:
        """As many as may go out at once."""
        return self.network.concurrency

    def facts(self, names: Sequence[str]) -> list[Facts]:
        """What the store says of the files; where it fails, that and why in place of the etag."""
        self._filesystem.invalidate_cache()
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(self._one_facts, names))

    def find(self) -> dict[str, Facts]:
        """All files below the folder, by name. Raises UserError where they cannot be listed."""
        return self._listed(self._filesystem.find, self._path(""))

    def glob(self, pattern: str) -> dict[str, Facts]:
        """The files whose names match."""
        return self._listed(self._filesystem.glob, self._path(pattern))

    def read(self, name: str) -> bytes:
        """All of a file."""
        path = self._path(name)
        with _failing():
            try:
                data: bytes = self._filesystem.cat_file(path, start=0, end=MAX_BYTES + 1)
            except Exception:
                # Of an empty file there is no first byte, and some stores say so by failing.
                if self._filesystem.info(path).get("size") != 0:
                    raise
                data = b""
        if len(data) > MAX_BYTES:
            raise RefusedError("too_large", f"more than {MAX_BYTES} bytes")
        if not data:
            raise RefusedError("empty", "0 bytes")
        return data

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """A part of a file."""
        with _failing():
            data: bytes = self._filesystem.cat_file(self._path(name), start=start, end=start + size)
        return data

    def open(self, name: str) -> BinaryIO:
        """A file of any size, in blocks that are asked for one after the other."""
        with _failing():
            file = self._filesystem.open(self._path(name), "rb", block_size=BLOCK, cache_type="readahead")
        return io.BufferedReader(_Failing(file), BLOCK)

    def local_path(self, name: str) -> Path | None:
        """None: it is not here."""
        return None

    @property
    def _filesystem(self) -> Any:
        return _filesystem(protocol(self.folder) or "", os.getpid())

    def _path(self, name: str) -> str:
        folder = self.folder if self.folder.endswith("/") else f"{self.folder}/"
        address = name if is_address(name) else folder + name
        return str(self._filesystem._strip_protocol(address))

    def _one_facts(self, name: str) -> Facts:
        try:
            with _failing():
                return _facts(self._filesystem.info(self._path(name)))
        except RefusedError as refused:
            return Facts() if refused.reason == "missing" else Facts(etag=f"head: {refused.reason}")

    def _listed(self, ask: Any, path: str) -> dict[str, Facts]:
        root = self._path("").rstrip("/") + "/"
        self._filesystem.invalidate_cache()
        try:
            with _failing():
                found: Mapping[str, Mapping[str, Any]] = ask(path, detail=True)
        except RefusedError as refused:
            raise UserError(f"{self.folder}: cannot be listed: {refused.detail}") from None
        return {
            name.removeprefix(root): _facts(info) for name, info in sorted(found.items()) if info.get("type") == "file"
        }


@dataclass(frozen=True)
class BucketSource:
    """All files below an address. The group is the first folder below it, else the file itself, led by the corpus."""

    folder: str
    network: Network
    corpus: str = ""

    @property
    def concurrency(self) -> int:
        """As many as may go out at once."""
        return self.network.concurrency

    def listing(self) -> list[Listed]:
        """All files below the address."""
        return remember(self, self._listing)

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a file below the address."""
        return self._storage.read(uri)

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """Buckets hold no containers; a pattern of tar shards does."""
        raise UserError(f"{container.uri}: not a tar shard")

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """None: it is not here."""
        return None

    @property
    def _storage(self) -> BucketStorage:
        return BucketStorage(self.folder, self.network)

    def _listing(self) -> list[Listed]:
        found = self._storage.find()
        if not found:
            raise UserError(f"{self.folder}: there are no files below it")
        return [Listed(uri, folder_group(self.corpus, uri), *facts) for uri, facts in sorted(found.items())]


class _Failing(io.RawIOBase):
    """A file of fsspec's whose failures are ours."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _failing():
            return int(self._file.seek(offset, whence))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _failing():
            block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@cache
def _filesystem(name: str, process: int) -> Any:
    """One for each process: fsspec itself would make one for each thread, with connections of its own."""
    import fsspec

    try:
        return fsspec.filesystem(name)
    except ImportError as error:
        install = f"pip install 'sdaie[{_EXTRAS[name]}]'" if name in _EXTRAS else f"{error}"
        raise UserError(f"{name}:// cannot be read yet: {install}") from None
    except ValueError as error:
        raise UserError(f"{name}:// cannot be read: {error}") from None


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (UserError, RefusedError):
        raise
    except FileNotFoundError:
        raise RefusedError("missing", "no such file") from None
    except PermissionError as error:
        raise RefusedError("no_permission", f"the store does not let us read it: {_said(error)}") from None
    except Exception as error:  # every store of fsspec's has errors of its own
        raise RefusedError("unreachable", f"the store fails: {_said(error)}") from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:200]


def _facts(info: Mapping[str, Any]) -> Facts:
    size = info.get("size")
    etag = next((str(info[name]) for name in _ETAGS if info.get(name)), None)
    modified = next((info[name] for name in _TIMES if info.get(name)), None)
    size, modified = size if isinstance(size, int) else None, _nanoseconds(modified)
    return Facts(size, modified, etag if (size, modified, etag) != (None, None, None) else "head: says nothing")


def _nanoseconds(moment: object) -> int | None:
    """A time of change since 1970, as stores tell it: a date, a date as text, or seconds."""
    try:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            past = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
            return ((past.days * 86400 + past.seconds) * 1_000_000 + past.microseconds) * 1000
        return int(moment * 1_000_000_000) if isinstance(moment, int | float) else None
    except (ValueError, OverflowError):
        return None
