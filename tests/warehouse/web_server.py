"""A web server on the loopback address that behaves as badly as servers do.

The tests of sources on the network share it; what is expected of the client stands in them.
"""

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATE = "Tue, 03 Mar 2026 10:00:00 GMT"


class WebServer:
    """Files by path, counts of requests, and paths that misbehave: `/stall`, `/lie`, `/cut`, `/busy`, `/redirect/...`.

    `address` is that of its root. `most_at_once` is how many requests for `/slow` it worked on at the same time.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.ends = threading.Event()
        self.most_at_once = 0
        self.at_once = 0
        self.lock = threading.Lock()
        web = self

        class Handler(_Handler):
            server_files = web

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server for one test."""
    web = WebServer()
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.ends.set()
        web.server.shutdown()
        web.server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_files: WebServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        web = self.server_files
        with web.lock:
            web.asked[f"{self.command} {self.path}"] += 1
            web.agents.add(self.headers.get("User-Agent", ""))
        try:
            self._behave(web)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _behave(self, web: WebServer) -> None:
        name, _, rest = self.path.removeprefix("/").partition("/")
        count = web.asked[f"{self.command} {self.path}"]
        if name == "redirect":
            self._send(302, b"", {"Location": rest.replace("SELF", self.path)})
        elif name == "hops":
            self._send(302, b"", {"Location": f"/hops/{int(rest) - 1}" if int(rest) > 1 else "/a.jpg"})
        elif name == "status":
            self._send(int(rest), b"no")
        elif name == "busy":
            code, tries = map(int, rest.split("/"))
            headers = {"Retry-After": "0"}
            self._send(200, web.files["/a.jpg"]) if count > tries else self._send(code, b"", headers)
        elif name == "stall":
            web.ends.wait(30)
        elif name == "stall_within":
            self._send(200, b"x" * 10, {"Content-Length": "1000"})
            web.ends.wait(30)
        elif name == "slow":
            self._work(web)
            self._send(200, b"slow")
        elif name == "cut":
            self._send(200, b"x" * 10, {"Content-Length": "1000"})
            self.close_connection = True
        elif name == "cut_once":
            self._send(200, b"x" * 10, {} if count > 1 else {"Content-Length": "1000"})
            self.close_connection = True
        elif name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
        elif name == "vast":
            self._send(200, b"x", {"Content-Length": str(1 << 40)})
            self.close_connection = True
        elif name in {"endless", "trickle"}:
            self._endless(0.005 if name == "trickle" else 0)
        elif name == "no_head" and self.command == "HEAD":
            self._send(405, b"")
        elif name == "garbage":
            self.wfile.write(b"\0\xff garbage \r\n\r\n")
            self.close_connection = True
        else:
            self._file(web, f"/{rest}" if name in {"no_head", "no_ranges"} else self.path, ranges=name != "no_ranges")

    def _work(self, web: WebServer) -> None:
        """A tenth of a second of work, over before the client can have its answer and ask again."""
        with web.lock:
            web.at_once += 1
            web.most_at_once = max(web.most_at_once, web.at_once)
        web.ends.wait(0.1)
        with web.lock:
            web.at_once -= 1

    def _file(self, web: WebServer, path: str, *, ranges: bool) -> None:
        if path not in web.files:
            return self._send(404, b"")
        data = web.files[path]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        headers = {"ETag": f'"{len(data)}"', "Last-Modified": DATE}
        if not (asked and ranges):
            return self._send(200, data, headers)
        start, end = map(int, asked.groups())
        if start >= len(data):
            return self._send(416, b"")
        return self._send(206, data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"})

    def _endless(self, pause_s: float) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.server_files.ends.wait(pause_s):
            self.wfile.write(bytes(1 << 16))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
