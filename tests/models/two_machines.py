"""Two machines to train on: two agents of torchrun, in network namespaces joined by a cable or both on the loopback.

Namespaces share this machine's host name and files and nothing of its network, so that what rests on the loopback
address or on the name of a host fails in them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.services import free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Machine:
    """Its address, the words that a command there begins with, and whether the agents meet on it."""

    address: str
    inside: tuple[str, ...]
    first: bool


LOOPBACK = (Machine("127.0.0.1", (), True), Machine("127.0.0.1", (), False))


@contextmanager
def namespaces() -> Iterator[tuple[Machine, Machine]]:
    """Two network namespaces; the test is skipped where this process may not make them."""
    if shutil.which("ip") is None:
        pytest.skip("there is no program `ip`")
    names = [f"sdaie-{os.getpid()}-{number}" for number in range(2)]
    ends = [f"sd{os.getpid()}.{number}" for number in range(2)]
    addresses = ["10.77.0.1", "10.77.0.2"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
            for name, end, address in zip(names, ends, addresses, strict=True):
                ip("-n", name, "address", "add", f"{address}/24", "dev", end)
                ip("-n", name, "link", "set", end, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not allowed here: {error.stderr.decode().strip()}")
        first, second = (
            Machine(address, ("ip", "netns", "exec", name), number == 0)
            for number, (name, address) in enumerate(zip(names, addresses, strict=True))
        )
        yield first, second
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def agents(
    machines: tuple[Machine, Machine], words: Sequence[str], *, restarts: int = 0
) -> list[subprocess.Popen[str]]:
    """An agent on each machine that runs a program in one process; what they print is kept for `communicate`."""
    port = free_port()
    # Else ranks that are started again may find the addresses of those before them (docs/training.md).
    environment = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"} if restarts else None
    return [
        subprocess.Popen(
            [
                *machine.inside,
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
                *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{machines[0].address}:{port}", "--rdzv-id", "test"),
                *("--rdzv-conf", f"is_host={int(machine.first)}", "--local-addr", machine.address),
                *("--max-restarts", str(restarts), *words),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for machine in machines
    ]
