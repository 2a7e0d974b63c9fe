"""A run killed at any moment and run again ends in the tables of an undisturbed run."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Sdaie
from tests.end_to_end.test_chain import tables
from warehouse.home import Home

pytestmark = pytest.mark.slow

KILLS = 12


def test_killed_runs_end_in_the_tables_of_an_undisturbed_one(finished: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.simulated, home.simulated)
    for path in (finished.registry, finished.path / "brightness.py"):
        shutil.copy(path, home.path)
    program = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "run"]
    moments = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(moments.uniform(1.5, 9.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed >= 3  # a fast machine is done before the last of them
    said = sdaie(home.path, "run")
    assert said.returncode == 0, said.stderr
    assert tables(home) == tables(finished)
    assert home.report.read_bytes() == finished.report.read_bytes()
    assert (home.champion.read_bytes()) == finished.champion.read_bytes()


def test_a_killed_command_leaves_no_process_behind(finished: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    home.registry.write_text(finished.registry.read_text().replace("steps = 12", "steps = 100000"))
    program = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "run", "--only", "training"]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not trainers(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert trainers(home)
    process.kill()
    process.wait()
    while trainers(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not trainers(home)


def test_ctrl_c_keeps_a_checkpoint_and_says_so_without_a_traceback(finished: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    home.registry.write_text(finished.registry.read_text().replace("steps = 12", "steps = 100000"))
    program = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "run", "--only", "training"]
    for said in ("step 1 of", "goes on from the checkpoint"):
        lines: list[str] = []
        with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stderr is not None
            while not any(said in line for line in lines):
                lines.append(process.stderr.readline())
                assert process.poll() is None, lines
            # A terminal sends it to the whole group.
            os.killpg(process.pid, signal.SIGINT)
            lines += process.stderr.readlines()
        assert process.returncode == 130
        assert lines[-1] == "sdaie: stopped; run it again to go on\n"
        assert not any("Traceback" in line for line in lines)
        assert list(home.backbones.glob("*/checkpoint.pt"))


def trainers(home: Home) -> list[str]:
    """Processes that train for this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"pipelines.train_process" in words and str(home.path).encode() in environment:
            found.append(folder.name)
    return found


def test_two_runs_of_one_home_do_not_meet(finished: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    program = [
        str(Path(sys.executable).with_name("sdaie")),
        "--home",
        str(home.path),
        "run",
        "--force",
        "--only",
        "training",
    ]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        # It speaks for the first time when it has the home to itself.
        assert first.stderr.readline().startswith("crops, ")
        second = sdaie(home.path, "run", "--force")
        assert second.returncode == 1
        assert "another `sdaie run`, or a run of the UI, is at work" in second.stderr
        first.communicate(timeout=300)
    assert first.returncode == 0
    assert tables(home) == tables(finished)
