"""`sdaie ui`: the Dagster UI of a home and what it needs, from the first process to the last.

Three services are started: the code server, which has loaded the pipeline and starts runs; the web server; and the
daemon, which takes runs from the queue and asks sensors. How they are started and ended belongs here; what they load is
`definitions.py`, their settings are `dagster.yaml`.
"""

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from models.stopping import end_with_parent
from warehouse.home import Home, UserError, write_text
from warehouse.home_lock import lock_file, take
from warehouse.sockets import folder_for_sockets

Say = Callable[[str], None]
HOST = "127.0.0.1"
STOP_SECONDS = 20.0
"""How long a run that is interrupted may take to write that it was."""
_POLL_SECONDS = 0.1


def serve(home: Home, port: int, say: Say) -> None:
    """Serve the UI of the home at `port` of the loopback address until it is interrupted or ended (SIGTERM, SIGHUP).

    Says the address as soon as it answers. Raises UserError where the port is in use or the home has a UI already,
    before anything starts, and where a service ends by itself.
    """
    _refuse_port_in_use(port)
    from pipelines.instance import open_instance

    log = home.dagster / "ui.log"
    try:
        with _only_ui(home), tempfile.TemporaryDirectory(prefix="sdaie-ui-", dir=folder_for_sockets()) as folder:
            for name in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(name) != signal.SIG_IGN:
                    signal.signal(name, signal.default_int_handler)
            # Before the services: of two that make the history of a new home at once, one spoils it for ever.
            with open_instance(home):
                write_text(log, "")
            with _Services(home, log) as services:
                _start(services, home, Path(folder), port)
                say(f"the UI of {home.path}: http://{HOST}:{port} (Ctrl-C ends it; what its services say: {log})")
                services.wait_while(lambda: True)
    except KeyboardInterrupt:
        say("stopped")


def _refuse_port_in_use(port: int) -> None:
    with socket.socket() as probe:
        # As the web server does: a port that a connection was just closed on is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({os.strerror(error.errno or 0)}): stop what uses it, or choose another "
                "with --port"
            ) from None


@contextmanager
def _only_ui(home: Home) -> Iterator[None]:
    """Hold the home's lock of the UI: two daemons would take the same runs from the queue."""
    with lock_file(home.dagster / ".ui.lock") as lock:
        if not take(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            raise UserError(f"{home.path} has a UI already: use it, or stop it first")
        yield


def _start(services: "_Services", home: Home, folder: Path, port: int) -> None:
    # The socket lies in a folder that no other user can open, for a home's path may be too long for one. The daemon
    # reads the file that leads to it again and again: that is in the home, since temporary folders are cleaned of files
    # that are days old.
    code = folder / "code"
    module = ["--module-name", "pipelines.definitions", "--empty-working-directory", "--location-name", "sdaie"]
    services.start("code server", ["dagster", "api", "grpc", "--socket", str(code), *module])
    services.wait_while(lambda: not code.exists())
    workspace = home.dagster / "ui.yaml"
    server = {"grpc_server": {"socket": str(code), "location_name": "sdaie"}}
    write_text(workspace, json.dumps({"load_from": [server]}))
    words = ["--workspace", str(workspace)]
    services.start("web server", ["dagster_webserver", "--host", HOST, "--port", str(port), *words])
    services.start("daemon", ["dagster._daemon", "run", *words])
    services.wait_while(lambda: not _answers(port))


def _answers(port: int) -> bool:
    # Not by urllib, which would ask a proxy that the environment names.
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _Services:
    """Processes that end with this one, all speaking in one log. Use as a context manager."""

    def __init__(self, home: Home, log: Path) -> None:
        self._log = log
        self._folder = home.dagster
        self._environment = os.environ | {"SDAIE_HOME": str(home.path), "DAGSTER_HOME": str(home.dagster)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "_Services":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def start(self, name: str, words: Sequence[str]) -> None:
        """Start a module of Python with its words."""
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *words],
                # Not where the user stands: Python would load modules from there.
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A terminal's Ctrl-C goes to this process alone, which ends the others in order.
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )

    def wait_while(self, condition: Callable[[], bool]) -> None:
        """Wait while the condition holds. Raises UserError where a service ends meanwhile."""
        while condition():
            for name, process in self._processes.items():
                if (code := process.poll()) is not None:
                    raise UserError(f"the {name} of the UI ended by itself (exit code {code}): see {self._log}")
            time.sleep(_POLL_SECONDS)

    def _stop(self) -> None:
        # Whoever presses Ctrl-C twice wants no process left either.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        for process in self._processes.values():
            # Runs are processes of the code server's group, and write that they were interrupted.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
