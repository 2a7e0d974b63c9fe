"""One rank of a training on a cluster: the child of an actor there.

Here belongs what happens on the machine of the rank: its start, what it has said, its end. Where ranks are placed and
how all of them are followed is in `ray_ranks`. Light to import, for the actor does not compute.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

from models.stopping import PARENT_VARIABLE
from warehouse.compute_ray import machine_of_other_code

_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Said:
    """What a rank has reported since it was asked last; its exit status, once it has one, and its last words."""

    reports: list[dict[str, Any]]
    status: int | None
    last_words: str


class RankProcess:
    """One rank, a child of this process, which is an actor, and ends with it."""

    def __init__(self) -> None:
        self._output, self._errors = TemporaryFile(), TemporaryFile()  # noqa: SIM115 (as long as the actor)
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None

    def differs(self, code: str) -> str | None:
        """The name of this machine, where it has other code than that of this digest."""
        return machine_of_other_code(code)

    def meeting_place(self) -> tuple[str, int]:
        """The address by which the cluster knows this machine, and a port that is free on it."""
        from ray import util

        ray_util: Any = util  # it says no types
        address = ray_util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return address, probe.getsockname()[1]

    def start(self, job: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Start the training program."""
        with TemporaryFile() as given:
            given.write(json.dumps(job).encode())
            given.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "models.train", "/dev/stdin"],
                stdin=given,
                stdout=self._output,
                stderr=self._errors,
                env={**os.environ, **environment, PARENT_VARIABLE: str(os.getpid())},
            )

    def said(self) -> Said:
        """How it is doing."""
        assert self._process is not None
        status = self._process.poll()
        # The child writes at the offset that it shares with this process: reading must not move it.
        size = os.fstat(self._output.fileno()).st_size
        fresh = os.pread(self._output.fileno(), size - self._read, self._read)
        lines = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(lines)
        reports = [json.loads(line) for line in lines.splitlines() if line.startswith(b"{")]
        end = os.fstat(self._errors.fileno()).st_size
        last_words = os.pread(self._errors.fileno(), _TAIL_BYTES, max(0, end - _TAIL_BYTES))
        return Said(reports, status, last_words.decode(errors="replace").strip())

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Kill it, if it is there: one that hangs would not end with this process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._errors.close()
