"""The whole chain on a Ray cluster of two nodes, one of which is lost, and runs that are cancelled on either engine."""

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from tests.end_to_end.served import served, wait_for
from tests.end_to_end.test_chain import tables
from tests.ray_cluster import ray_cluster
from warehouse.home import Home

pytestmark = pytest.mark.slow
FORK_SERVER = b"multiprocessing.forkserver"


def test_a_cluster_that_loses_a_node_ends_in_the_tables_of_an_undisturbed_local_run(
    finished: Home, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    home = Home(tmp_path / "home")
    shutil.copytree(finished.simulated, home.simulated)
    shutil.copy(finished.path / "brightness.py", home.path)
    program = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "run"]
    with ray_cluster(nodes=2, cpus=1) as cluster:
        settings = f'[compute]\nengine = "ray"\naddress = "{cluster.address}"\n'
        home.registry.write_text(f"{finished.registry.read_text()}\n{settings}")
        lines: list[str] = []
        with subprocess.Popen(program, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
            assert run.stderr is not None
            for line in run.stderr:
                lines.append(line)
                if "squares of the reference" in line and len(cluster.nodes) == 2:
                    cluster.kill_node(1)
                    del cluster.nodes[1]
        assert run.returncode == 0, lines
        assert len(cluster.nodes) == 1, lines
    assert tables(home) == tables(finished)
    assert home.champion.read_bytes() == finished.champion.read_bytes()


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_run_cancelled_in_the_ui_leaves_no_worker_behind(finished: Home, tmp_path: Path, engine: str) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    shutil.rmtree(home.tables / "square_features")
    with ExitStack() as opened:
        if engine == "ray":
            pytest.importorskip("ray")
            cluster = opened.enter_context(ray_cluster(nodes=2, cpus=1))
            settings = f'\n[compute]\nengine = "ray"\naddress = "{cluster.address}"\n'
            home.registry.write_text(home.registry.read_text() + settings)
        ui = opened.enter_context(served(home))
        run = ui.submit("train")
        wait_for(lambda: len(workers(engine, home)) >= 2, 120)
        ui.terminate(run)
        wait_for(lambda: not workers(engine, home), 20)
        assert ui.ended(run) == dg.DagsterRunStatus.CANCELED


def workers(engine: str, home: Home) -> list[int]:
    """Processes that work on shards: children of a fork server that belongs to the home, or actors."""
    words = {pid: read(pid, "cmdline") for pid in pids()}
    if engine == "ray":
        return [pid for pid, said in words.items() if said.startswith(b"ray::_Worker")]
    mine = str(home.path).encode()
    servers = {pid for pid, said in words.items() if FORK_SERVER in said and mine in read(pid, "environ")}
    return [pid for pid in servers if int(read(pid, "stat").rpartition(b")")[2].split()[1]) in servers]


def pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b") ? 0" if name == "stat" else b""
