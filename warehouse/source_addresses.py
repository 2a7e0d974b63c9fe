"""Pictures on web servers: files by address, and the folder that an index page shows.

What is asked of servers and how their answers are read belongs here; how they are asked, and when an answer is refused,
to `http_client.py`, which is loaded when the first address is asked for.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urldefrag, urljoin, urlsplit

from warehouse.home import UserError
from warehouse.places import Listed, RefusedError
from warehouse.registry import Network
from warehouse.source_folder import folder_group
from warehouse.storage import Facts, remember

if TYPE_CHECKING:
    from warehouse.http_client import HttpClient

BLOCK = 8 * 1024 * 1024
"""Bytes of a shard that are asked for at once."""
MOST_FOLDERS = 100_000
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class HttpStorage:
    """Files by address, or by a reference relative to the address of a folder (which ends in a slash)."""

    folder: str
    network: Network

    @property
    def concurrency(self) -> int:
        """As many as may go out at once."""
        return self.network.concurrency

    def facts(self, names: Sequence[str]) -> list[Facts]:
        """What the servers say of the files; where one fails, that and why in place of the etag."""
        answers = self._client.headers([urljoin(self.folder, name) for name in names])
        return [_facts(answer) for answer in answers]

    def glob(self, pattern: str) -> dict[str, Facts]:
        """Servers do not tell names."""
        raise UserError(f"{self.folder}{pattern}: a web server does not tell names: write a range as {{000..099}}")

    def read(self, name: str) -> bytes:
        """All of a file."""
        return self._client.get(urljoin(self.folder, name))

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """A part of a file."""
        return self._client.get_range(urljoin(self.folder, name), start, size)

    def open(self, name: str) -> BinaryIO:
        """A file of any size, in blocks that are asked for one after the other."""
        return io.BufferedReader(_Blocks(self, name), BLOCK)

    def local_path(self, name: str) -> Path | None:
        """None: it is not here."""
        return None

    @property
    def _client(self) -> "HttpClient":
        from warehouse.http_client import http_client

        return http_client(self.network)


@dataclass(frozen=True)
class IndexSource:
    """All files that the index page of a folder links to, and those of the folders below it.

    The group is the first folder below it, else the file itself, led by the corpus.
    """

    folder: str
    network: Network
    corpus: str = ""

    @property
    def concurrency(self) -> int:
        """As many as may go out at once."""
        return self.network.concurrency

    def listing(self) -> list[Listed]:
        """All files below the folder; links that lead elsewhere are not followed."""
        return remember(self, self._listing)

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a file below the folder."""
        return self._storage.read(self.folder + uri)

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """Index pages hold no containers."""
        raise UserError(f"{container.uri}: not a tar shard")

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """None: it is not here."""
        return None

    @property
    def _storage(self) -> HttpStorage:
        return HttpStorage(self.folder, self.network)

    def _listing(self) -> list[Listed]:
        uris = sorted(self._walk())
        if not uris:
            raise UserError(f"{self.folder}: its index page names no files below it")
        facts = self._storage.facts([self.folder + uri for uri in uris])
        return [Listed(uri, folder_group(self.corpus, uri), *said) for uri, said in zip(uris, facts, strict=True)]

    def _walk(self) -> Iterator[str]:
        seen = {self.folder}
        todo = [self.folder]
        while todo:
            folder = todo.pop()
            try:
                page = self._storage.read(folder)
            except RefusedError as refused:
                # A listing with a hole in it would make all that lies in there vanish.
                raise UserError(f"{folder}: cannot be listed: {refused}") from None
            for address in _links(page, folder):
                if not address.startswith(self.folder) or address in seen or urlsplit(address).query:
                    continue
                seen.add(address)
                if not address.endswith("/"):
                    yield address.removeprefix(self.folder)
                    continue
                todo.append(address)
                if len(todo) > MOST_FOLDERS:
                    raise UserError(f"{self.folder}: more than {MOST_FOLDERS} folders: use a table of addresses")


class _Blocks(io.RawIOBase):
    """A file on a server, read in blocks by its ranges, so that a broken connection costs one block."""

    def __init__(self, storage: HttpStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        self._at = offset if whence == io.SEEK_SET else self._at + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self._storage.read_range(self._name, self._at, len(buffer))
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _links(page: bytes, folder: str) -> Iterator[str]:
    parser = _Page()
    parser.feed(page.decode("utf-8", "replace"))
    for link in parser.links:
        try:
            yield urldefrag(urljoin(folder, link)).url
        except ValueError:  # no address
            continue


def _facts(answer: dict[str, str] | RefusedError) -> Facts:
    if isinstance(answer, RefusedError):
        return Facts() if answer.reason == "missing" else Facts(etag=f"head: {answer.reason}")
    length = answer.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
    modified = _nanoseconds(answer.get("last-modified", ""))
    etag = answer.get("etag")
    return Facts(size, modified, etag if (size, modified, etag) != (None, None, None) else "head: says nothing")


def _nanoseconds(date: str) -> int | None:
    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    # A date without a zone is one of Greenwich.
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * _SECOND_NS
