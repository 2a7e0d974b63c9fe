"""A Ray cluster for tests: several nodes on this machine, each a raylet with its own processes, that can be lost."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.services import free_port

PROJECT = Path(__file__).parents[1]
_START_SECONDS = 180


@dataclass
class RayCluster:
    """Its address, and the leader of each node's session of processes; the first is the head."""

    address: str
    dashboard: str
    folder: Path
    cpus: int
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_node(self, *words: str) -> None:
        """Start a node, and wait until the cluster counts it."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *words]
        command += [f"--num-cpus={self.cpus}", f"--object-store-memory={80 << 20}"]
        command += ["--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
        command += [f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "metrics-export-port")]
        path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environment = os.environ | {"PYTHONPATH": path, "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "150"}
        with (self.folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.nodes.append(node)
        deadline = time.monotonic() + _START_SECONDS
        while self.alive() < sum(each.poll() is None for each in self.nodes):
            assert node.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.2)

    def alive(self) -> int:
        """How many nodes the cluster itself says are alive."""
        from ray._raylet import GcsClient
        from ray.exceptions import RaySystemError, RpcError

        try:
            found = GcsClient(address=self.address).get_all_node_info(timeout=5)
        except (RaySystemError, RpcError):
            return -1  # not there yet
        return sum(node.state == 0 for node in found.values())

    def node_of(self, pid: int) -> int:
        """The node that a process belongs to."""
        return [node.pid for node in self.nodes].index(os.getsid(pid))

    def kill_node(self, number: int) -> None:
        """End all processes of a node at once, as when its machine is switched off."""
        leader = self.nodes[number]
        for pid in _session(leader.pid):
            with _gone_already():
                os.kill(pid, signal.SIGKILL)
        leader.wait()


@contextmanager
def ray_cluster(nodes: int = 2, cpus: int = 1, dashboard: bool = False) -> Iterator[RayCluster]:
    """A cluster of so many nodes with so many CPUs each; all its processes end with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets have short paths
    port, web = free_port(), free_port()
    cluster = RayCluster(f"127.0.0.1:{port}", f"http://127.0.0.1:{web}", folder, cpus)
    try:
        head = ["--head", f"--port={port}", f"--temp-dir={folder}", f"--ray-client-server-port={free_port()}"]
        cluster.add_node(*head, f"--include-dashboard={str(dashboard).lower()}", f"--dashboard-port={web}")
        for _ in range(nodes - 1):
            cluster.add_node(f"--address={cluster.address}")
        yield cluster
    finally:
        for number in range(len(cluster.nodes)):
            cluster.kill_node(number)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def _session(leader: int) -> list[int]:
    """Processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader:
            found.append(int(folder.name))
    return found
