"""One small simulated home, made once for all end-to-end tests by the commands a user types."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from warehouse.home import Home
from warehouse.registry import (
    Corpus,
    Dataset,
    add_corpus,
    add_dataset,
    add_detector,
    set_coding,
    set_reconstruction,
    set_training,
)
from warehouse.simulator import simulate_benchmark, simulate_corpus

# Few steps: that the network learns is another test's business.
STEPS = 12

Sdaie = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def sdaie() -> Sdaie:
    """Call the installed command as a user does, from a directory that has nothing to do with the project."""
    program = str(Path(sys.executable).with_name("sdaie"))

    def call(home: Path, *words: str, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key not in ("SDAIE_HOME", "DAGSTER_HOME")}
        return subprocess.run(
            [program, "--home", str(home), *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


PLUG_IN = """
import numpy as np


class Brightness:
    name, version = "brightness", "1"

    def score(self, images):
        return np.array([image.pixels.mean() for image in images])
"""


def registered(path: Path) -> Home:
    """A home with simulated photographs, a benchmark, a set that also trains, and a detector of others.

    The budget is seconds; nothing has run yet.
    """
    home = Home(path)
    simulate_corpus(home.simulated / "corpus", photographs=100, groups=10, seed=0)
    simulate_benchmark(home.simulated / "benchmark", per_generator=4, seed=1)
    add_corpus(home, "simulated", Corpus(source=str(home.simulated / "corpus")))
    simulate_benchmark(home.simulated / "halved", per_generator=8, seed=2)
    add_dataset(home, "simulated", Dataset(source=str(home.simulated / "benchmark")))
    add_dataset(home, "halved", Dataset(source=str(home.simulated / "halved"), use=["train", "evaluate"]))
    set_training(home, steps=STEPS, crops=1)
    set_reconstruction(home, autoencoder_steps=STEPS, steps=STEPS)
    set_coding(home, steps=STEPS)
    with home.registry.open("a") as registry:
        registry.write(f"\n[binary]\nsteps = {STEPS}\n")
    (home.path / "brightness.py").write_text(PLUG_IN)
    add_detector(home, "brightness", class_="brightness:Brightness")
    return home


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, sdaie: Sdaie) -> Home:
    """The home after `sdaie run`; of several test processes one makes it, and the others take copies."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _finished(tmp_path_factory.mktemp("finished") / "home", sdaie)
    # The processes of one session, and they alone, have this folder in common.
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "whole").exists():
            made = _finished(shared / "home", sdaie)
            shutil.copytree(made.path, shared / "whole.part", symlinks=True)
            (shared / "whole.part").rename(shared / "whole")
            return made
    own = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(shared / "whole", own, symlinks=True)
    return Home(own)


def _finished(path: Path, sdaie: Sdaie) -> Home:
    home = registered(path)
    said = sdaie(home.path, "run")
    assert said.returncode == 0, said.stderr
    return home
