"""`sdaie detect` as installed: killed and run again, and quick to answer."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Sdaie
from tests.small_detector import jpeg, photograph, small_home
from warehouse.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return small_home(tmp_path_factory.mktemp("home") / "home")


def test_what_is_asked_first_loads_no_more_than_it_needs() -> None:
    program = (
        "import sys, pipelines.cli, assets.detection, assets.answers, models.combined; "
        "print(sorted({'sklearn', 'polars', 'dagster', 'duckdb', 'jinja2', 'scipy.stats'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_files_that_are_not_there_have_a_line(home: Home, sdaie: Sdaie) -> None:
    said = sdaie(home.path, "detect", "--json", "/nowhere.jpg")
    assert said.returncode == 1
    answer = json.loads(said.stdout)
    assert (answer["verdict"], answer["reason_code"]) == ("cannot_tell", "missing")
    assert "Traceback" not in said.stderr


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(home: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(60):
        (pictures / f"{number:02}.jpg").write_bytes(jpeg(photograph(number)))
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    assert sdaie(home.path, "detect", str(pictures), "--output", str(whole)).returncode == 0
    program = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "detect", str(pictures)]
    environment = os.environ | {"SDAIE_HOME": str(home.path)}
    for lines in (5, 30):
        process = subprocess.Popen([*program, "--output", str(killed)], env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and (not killed.exists() or killed.read_bytes().count(b"\n") < lines):
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert killed.read_bytes().count(b"\n") < 60
    assert sdaie(home.path, "detect", str(pictures), "--output", str(killed)).returncode == 0
    assert killed.read_bytes() == whole.read_bytes()
