"""One guarded HTTP client for each process: limits, retries, redirects, and addresses that are not to be reached.

How a request goes out, when it is tried again and why its answer is refused belongs here; what is asked for belongs to
`source_addresses.py`. Reasons of refusal: `missing` (404, 410), `http_STATUS` (any other status that is no success),
`unreachable`, `timeout`, `cut_short` (fewer bytes than announced), `too_large`, `empty`, `private_address`,
`too_many_redirects`, `redirect_refused` (out of the web, or from https to http), `bad_certificate`, `bad_address`,
`no_ranges`.

No cookies, passwords or proxies of the environment are used. Private addresses are told by the one that a socket is
about to be connected to, so neither a name that resolves anew nor a redirect gets around it.
"""

import asyncio
import atexit
import ipaddress
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from warehouse.addresses import HTTP
from warehouse.places import MAX_BYTES, RefusedError
from warehouse.registry import Network

MOST_REDIRECTS = 5
SLOWEST = 128 * 1024
"""Bytes a second below which an answer is given up, beyond the time that any answer may take."""
LONGEST_PAUSE_S = 60.0
"""How long a server may ask to be left alone before it is asked again."""
MOST_SILENCES = 12
"""Tries in a row without an answer after which a host is left alone for LONGEST_PAUSE_S: the next addresses there are
refused at once, where each would cost its time and its retries."""
_FIRST_PAUSE_S = 0.25
_CHUNK = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOTHING_THERE = frozenset({404, 410})
_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({501, 505})
_HEADERS = {"User-Agent": "sdaie (reads photographs and their EXIF)", "Accept-Encoding": "identity"}
# Addresses of the old internet inside those of the new, beside those that `ipaddress` knows: NAT64.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

Answer = TypeVar("Answer")
Answers = AsyncIterator[aiohttp.ClientResponse]


class _PassingError(Exception):
    """A failure that trying again may mend; `pause_s` is what the server asked for."""

    def __init__(self, refused: RefusedError, pause_s: float | None = None) -> None:
        super().__init__(refused)
        self.refused = refused
        self.pause_s = pause_s


class _PrivateAddressError(OSError):
    """Raised instead of making a socket. The text is always the same: aiohappyeyeballs joins texts that differ."""


def is_private_address(host: str) -> bool:
    """Whether an IP address is of the machine itself, of a private or reserved network, or of a group of machines."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_private_address(str(inner))
    return not address.is_global or address.is_multicast or address.is_reserved


def http_client(network: Network) -> "HttpClient":
    """The client of this process for these limits."""
    return _client(network, os.getpid())


@cache
def _client(network: Network, process: int) -> "HttpClient":
    return HttpClient(network)


class HttpClient:
    """Asks for addresses from an event loop of its own; its methods may be called from several threads at once."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="http", daemon=True).start()
        self._all = asyncio.Semaphore(network.concurrency)
        self._silences: dict[str, tuple[int, float]] = {}
        self._hosts: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._session = self._wait(self._open())
        atexit.register(self.close)

    def close(self) -> None:
        """Close all connections; the client is of no use afterwards."""
        if self._loop.is_running():
            self._wait(self._session.close())
            self._loop.call_soon_threadsafe(self._loop.stop)

    def get(self, address: str) -> bytes:
        """The body. Raises RefusedError."""
        return self._wait(self._retrying(partial(self._body, address, {}, MAX_BYTES)))

    def get_range(self, address: str, start: int, size: int) -> bytes:
        """Bytes of the body from `start`; fewer than `size` where it ends. Raises RefusedError."""
        return self._wait(self._retrying(partial(self._part, address, start, size)))

    def headers(self, addresses: Iterable[str]) -> list[dict[str, str] | RefusedError]:
        """The headers of each answer, names in lower case, or why there is none, in the order of the addresses."""
        return self._wait(self._all_headers(list(addresses)))

    def _wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> aiohttp.ClientSession:
        # The semaphores are the limits: aiohttp's own would count the wait for a connection as time without an answer.
        connector = aiohttp.TCPConnector(limit=0, socket_factory=self._socket)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_HEADERS, auto_decompress=False
        )

    def _socket(self, found: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, at = found
        if not self.network.allow_private and is_private_address(str(at[0])):
            raise _PrivateAddressError("private address")
        return socket.socket(family, kind, protocol)

    async def _all_headers(self, addresses: list[str]) -> list[dict[str, str] | RefusedError]:
        answers: list[dict[str, str] | RefusedError] = [{}] * len(addresses)
        todo = iter(enumerate(addresses))

        async def work() -> None:
            for number, address in todo:
                try:
                    answers[number] = await self._retrying(partial(self._head, address))
                except RefusedError as error:
                    answers[number] = error

        # More than go out at once, so that one slow host does not keep the others waiting.
        await asyncio.gather(*(work() for _ in range(min(len(addresses), 8 * self.network.concurrency))))
        return answers

    async def _retrying(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        for attempt in range(self.network.retries + 1):
            try:
                return await ask()
            except _PassingError as error:
                if attempt == self.network.retries:
                    raise error.refused from None
                pause = _FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)
                await asyncio.sleep(min(max(pause, error.pause_s or 0.0), LONGEST_PAUSE_S))
        raise AssertionError("a last attempt always ends")

    async def _head(self, address: str) -> dict[str, str]:
        """What HEAD says; where a server does not allow it, what GET says before the body."""
        try:
            async with self._answer("HEAD", address, {}) as response:
                return _lowered(response)
        except RefusedError as refused:
            if refused.reason not in {"http_400", "http_403", "http_405", "http_501"}:
                raise
        async with self._answer("GET", address, {}) as response:
            return _lowered(response)

    async def _part(self, address: str, start: int, size: int) -> bytes:
        try:
            return await self._body(address, {"Range": f"bytes={start}-{start + size - 1}"}, size)
        except RefusedError as refused:
            if refused.reason in {"http_416", "empty"}:
                return b""
            raise

    async def _body(self, address: str, headers: dict[str, str], most: int) -> bytes:
        body = bytearray()
        started = time.monotonic()
        async with self._answer("GET", address, headers) as response:
            if headers and response.status != 206:
                raise RefusedError("no_ranges", "the server does not send parts of files: shards there cannot be read")
            announced = response.content_length
            if announced is not None and announced > most:
                raise RefusedError("too_large", f"{announced} bytes; at most {most} are read")
            while chunk := await response.content.read(_CHUNK):
                body += chunk
                if len(body) > most:
                    raise RefusedError("too_large", f"more than {most} bytes")
                if time.monotonic() - started > self.network.timeout_s + len(body) / SLOWEST:
                    raise _PassingError(RefusedError("timeout", "the server sends too slowly"))
        if not body:
            raise RefusedError("empty", "0 bytes")
        return bytes(body)

    @asynccontextmanager
    async def _answer(self, method: str, address: str, headers: dict[str, str]) -> Answers:
        """A successful answer, after redirects. Raises RefusedError, or _PassingError where to try again."""
        url = _url(address)
        for _ in range(MOST_REDIRECTS + 1):
            async with self._one_answer(method, url, headers) as response:
                if response.status not in _REDIRECTS:
                    _check_status(response)
                    yield response
                    return
                url = _redirected(url, response.headers.get("Location", ""))
        raise RefusedError("too_many_redirects", f"more than {MOST_REDIRECTS} redirects")

    @asynccontextmanager
    async def _one_answer(self, method: str, url: URL, headers: dict[str, str]) -> Answers:
        name = url.host or ""
        host = self._hosts.setdefault(name, asyncio.Semaphore(self.network.per_host))
        timeout = aiohttp.ClientTimeout(total=None, sock_read=self.network.timeout_s)
        try:
            async with host, self._all:
                self._check_heard(name)
                async with asyncio.timeout(self.network.timeout_s):
                    response = await self._session.request(
                        method, url, headers=headers, timeout=timeout, allow_redirects=False
                    )
                self._silences.pop(name, None)
                async with response:
                    yield response
        except aiohttp.InvalidURL:
            raise RefusedError("bad_address", "no address of the web") from None
        except aiohttp.ClientPayloadError:
            raise _PassingError(RefusedError("cut_short", "fewer bytes than the server announced")) from None
        except TimeoutError:
            self._note_silence(name)
            raise _PassingError(
                RefusedError("timeout", f"no answer, or no more of it, in {self.network.timeout_s:g} s")
            ) from None
        except aiohttp.ClientSSLError:
            raise RefusedError("bad_certificate", "the server does not prove who it is") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _PrivateAddressError):
                raise RefusedError(
                    "private_address", "a private address: [network] allow_private = true lets it be read"
                ) from None
            self._note_silence(name)
            refused = RefusedError("unreachable", f"cannot be connected to: {_said(error.os_error)}")
            raise _PassingError(refused) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(RefusedError("unreachable", f"the connection broke: {_said(error)}")) from None
        except ValueError as error:  # what servers send and aiohttp cannot make sense of
            raise RefusedError("bad_address", f"cannot be asked for: {_said(error)}") from None

    def _note_silence(self, host: str) -> None:
        count, _ = self._silences.get(host, (0, 0.0))
        self._silences[host] = count + 1, time.monotonic()

    def _check_heard(self, host: str) -> None:
        """Raises RefusedError where a host is to be left alone for now; after that time one try says whether it is."""
        count, last = self._silences.get(host, (0, 0.0))
        if count >= MOST_SILENCES and time.monotonic() - last < LONGEST_PAUSE_S:
            raise RefusedError("unreachable", f"the host did not answer {MOST_SILENCES} times: left alone for now")


def _url(address: str) -> URL:
    try:
        url = URL(address).with_user(None)
    except ValueError:
        raise RefusedError("bad_address", "no address of the web") from None
    if url.scheme not in HTTP or not url.host:
        raise RefusedError("bad_address", "no address of the web")
    return url


def _redirected(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location)).with_user(None)
    except ValueError:
        raise RefusedError("redirect_refused", "a redirect to no address") from None
    if target.scheme not in HTTP or not target.host:
        raise RefusedError("redirect_refused", "a redirect out of the web")
    if url.scheme == "https" and target.scheme == "http":
        raise RefusedError("redirect_refused", "a redirect from https to http")
    return target


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    if status in _NOTHING_THERE:
        raise RefusedError("missing", f"the server answers {status}")
    refused = RefusedError(f"http_{status}", f"the server answers {status}")
    if (status >= 500 or status in _PASSING) and status not in _LASTING:
        raise _PassingError(refused, _seconds(response.headers.get("Retry-After", "")))
    raise refused


def _seconds(retry_after: str) -> float | None:
    """What `Retry-After` asks for, a number of seconds or a date; None where it says neither."""
    try:
        return float(int(retry_after))
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None


def _lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _said(error: BaseException) -> str:
    """What went wrong without addresses in it, so that the same failure is told in the same words."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
