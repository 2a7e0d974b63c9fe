"""Workers end with the run that they work for, however that ends; real processes, really killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import runs
from warehouse.compute import Compute
from warehouse.compute_local import LocalEngine
from warehouse.exiftool import ExifReader

PROJECT = Path(__file__).parents[2]


def work(unit: tuple[Path, bool]) -> None:
    """Note which process this is, and whether it then reads on for ever or is done and idle."""
    folder, busy = unit
    (folder / str(os.getpid())).touch()
    if busy:
        with ExifReader():
            (folder / "reading").touch()
            time.sleep(600)
    while not (folder / "reading").exists():
        time.sleep(0.01)


def main(folder: Path) -> None:
    list(Compute(LocalEngine(2)).map(work, [(folder, True), (folder, False)]))


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if runs(pid)]


def children(pid: int) -> list[int]:
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in paths for child in path.read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_busy_and_idle_workers_and_their_exiftool_end_when_the_run_is_killed(
    tmp_path: Path, sent: signal.Signals
) -> None:
    # A run is told to end by SIGTERM, which this process may have been started to ignore.
    heeding = "import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL)"
    program = f"{heeding}; from tests.warehouse.test_compute import main, Path; main(Path({str(tmp_path)!r}))"
    with subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, start_new_session=True) as run:
        deadline = time.monotonic() + 60
        while not (tmp_path / "reading").exists() or len(list(tmp_path.iterdir())) < 3:
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
        programs = [child for worker in workers for child in children(worker)]
        assert (len(workers), len(programs)) == (2, 1)
        assert len(alive(workers + programs)) == 3
        run.send_signal(sent)
    deadline = time.monotonic() + 10
    while alive(workers + programs) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = alive(workers + programs)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
