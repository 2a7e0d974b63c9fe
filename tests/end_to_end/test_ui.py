"""The Dagster UI as people use it: `sdaie ui` and `dagster dev`, seen in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from assets.chain import GROUPS
from tests.chromium import chromium
from warehouse.home import Home

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(words: list[str], port: int, environment: dict[str, str], cwd: Path) -> Iterator[str]:
    """A web server started by a command; afterwards nothing of it is left."""
    process = subprocess.Popen(
        words, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/server_info", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def browser_page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 1600, "height": 1000})


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("SDAIE_HOME", "DAGSTER_HOME")}


def test_sdaie_ui_shows_the_home(finished: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    port = free_port()
    program = str(Path(sys.executable).with_name("sdaie"))
    words = [program, "--home", str(home.path), "ui", "--port", str(port)]
    with served(words, port, clean_environment(), tmp_path) as url, browser_page() as page:
        page.goto(f"{url}/assets/benchmark_metrics")
        expect(page.get_by_text("average precision, generated = positive").first).to_be_visible(timeout=60_000)
        page.goto(f"{url}/assets/files?view=partitions")
        expect(page.get_by_text("simulated").first).to_be_visible(timeout=60_000)
        page.goto(f"{url}/asset-groups")
        for group in GROUPS:
            expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)
        materialise_by_click(page, url, home, "benchmark_metrics")


def materialise_by_click(page: Page, url: str, home: Home, asset: str) -> None:
    """Press the button as a person does, and wait until the daemon has run it."""
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        before = {run.run_id for run in instance.get_runs()}
        page.goto(f"{url}/assets/{asset}")
        page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
        deadline = time.monotonic() + 120
        status = None
        while status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE) and time.monotonic() < deadline:
            time.sleep(1)
            status = next((run.status for run in instance.get_runs() if run.run_id not in before), None)
    assert status == dg.DagsterRunStatus.SUCCESS


def test_dagster_dev_loads_the_workspace_without_dagster_home(tmp_path: Path) -> None:
    port = free_port()
    dagster = str(Path(sys.executable).with_name("dagster"))
    words = [dagster, "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    environment = clean_environment() | {"SDAIE_HOME": str(tmp_path / "home")}
    with served(words, port, environment, tmp_path) as url, browser_page() as page:
        page.goto(f"{url}/asset-groups")
        expect(page.get_by_text("publication", exact=True).first).to_be_visible(timeout=60_000)
