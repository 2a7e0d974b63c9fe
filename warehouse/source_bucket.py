"""Pictures in a bucket, or in whatever else fsspec reads: files by address, and all that lie below a prefix.

How fsspec is asked, and what its many stores answer, belongs here. Credentials and endpoints are those that each store
takes from the environment; its retries are its own. Reasons of refusal: `missing`, `no_permission`, `unreachable` (all
else that a store fails with), `too_large`, `empty`.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
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

Infos = Mapping[str, Mapping[str, Any]]
"""What a store says of files and folders, by their paths."""
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
        with suppress(RefusedError), _failing():
            self._at("")[0].invalidate_cache()
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(self._one_facts, names))

    def find(self) -> dict[str, Facts]:
        """All files below the folder, by name. Raises UserError where they cannot be listed."""
        return self._listed(_found, "")

    def glob(self, pattern: str) -> dict[str, Facts]:
        """The files whose names match."""
        return self._listed(lambda store, path: store.glob(path, detail=True), pattern)

    def read(self, name: str) -> bytes:
        """All of a file."""
        with _failing():
            store, path = self._at(name)
            try:
                data: bytes = store.cat_file(path, start=0, end=MAX_BYTES + 1)
            except Exception:
                # Of an empty file there is no first byte, and some stores say so by failing.
                if store.info(path).get("size") != 0:
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
            store, path = self._at(name)
            data: bytes = store.cat_file(path, start=start, end=start + size)
        return data

    def open(self, name: str) -> BinaryIO:
        """A file of any size, in blocks that are asked for one after the other."""
        with _failing():
            store, path = self._at(name)
            file = store.open(path, "rb", block_size=BLOCK, cache_type="readahead")
        return io.BufferedReader(_Failing(file), BLOCK)

    def local_path(self, name: str) -> Path | None:
        """None: it is not here."""
        return None

    def _at(self, name: str) -> tuple[Any, str]:
        """The store that a file lies in, and its path there."""
        folder = self.folder if self.folder.endswith("/") else f"{self.folder}/"
        address = name if is_address(name) else folder + name
        store = _store(address)
        return store, str(store._strip_protocol(address))

    def _one_facts(self, name: str) -> Facts:
        try:
            with _failing():
                store, path = self._at(name)
                return _facts(store.info(path))
        except RefusedError as refused:
            return Facts() if refused.reason == "missing" else Facts(etag=f"head: {refused.reason}")

    def _listed(self, ask: Callable[[Any, str], Infos], name: str) -> dict[str, Facts]:
        try:
            with _failing():
                store, root = self._at("")
                store.invalidate_cache()
                found = ask(store, self._at(name)[1])
        except RefusedError as refused:
            raise UserError(f"{self.folder}: cannot be listed: {refused.detail}") from None
        root = root.rstrip("/") + "/"
        return {
            path.removeprefix(root): _facts(info) for path, info in sorted(found.items()) if info.get("type") == "file"
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


def _store(address: str) -> Any:
    """What reads at an address: it may name a host, an account or the like, which is the store's own to tell.

    Raises UserError where there is no such store, and whatever the store itself fails with as it connects.
    """
    import fsspec

    name = protocol(address) or ""
    try:
        told = fsspec.get_filesystem_class(name)._get_kwargs_from_urls(address)
        return _filesystem(name, tuple(sorted(told.items())), os.getpid())
    except ImportError as error:
        install = f"pip install 'sdaie[{_EXTRAS[name]}]'" if name in _EXTRAS else f"{error}"
        raise UserError(f"{name}:// cannot be read yet: {install}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}:// cannot be read: {error}") from None


@cache
def _filesystem(name: str, told: tuple[tuple[str, Any], ...], process: int) -> Any:
    """One for each process: fsspec itself would make one for each thread, with connections of its own."""
    import fsspec

    return fsspec.filesystem(name, **dict(told))


def _found(store: Any, path: str) -> Infos:
    """What lies below a path, by its path; fails with the first folder that cannot be listed."""
    from fsspec import AbstractFileSystem

    if type(store).find is not AbstractFileSystem.find:
        found: Infos = store.find(path, detail=True)
        return found
    # A store without a listing of its own would leave such a folder out, and its files would count as vanished.
    below: dict[str, Mapping[str, Any]] = {}
    folders = [path]
    while folders:
        listed = {info["name"].rstrip("/"): info for info in store.ls(folders.pop(), detail=True)}
        new = {name: info for name, info in listed.items() if name not in below and name != path.rstrip("/")}
        below |= new
        folders += [name for name, info in new.items() if info["type"] == "directory"]
    return below


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
