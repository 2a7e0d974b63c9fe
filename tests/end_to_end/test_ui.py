"""The Dagster UI as people use it: `sdaie ui` and `dagster dev`, seen in a real browser."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus
from playwright.sync_api import Page, expect

from assets.chain import GROUPS
from assets.stage import FORCE_TAG
from benchmarks.services import free_port, memory, served
from tests.chromium import chromium
from tests.end_to_end.served import clean_environment
from warehouse.home import Home

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 240


@contextmanager
def browser_page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 1600, "height": 1000})


@pytest.fixture(scope="module")
def opened(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Home, Page]]:
    """The UI of a copy of the finished home, where a socket beside temporary files has no room; a page of a browser."""
    home = Home(tmp_path_factory.mktemp("ui") / "home")
    shutil.copytree(finished.path, home.path)
    port = free_port()
    environment = clean_environment() | {"TMPDIR": str(tmp_path_factory.mktemp("temporary" * 8))}
    with served(ui_words(home, port), environment, port, home.path), browser_page() as page:
        yield f"http://127.0.0.1:{port}", home, page


def ui_words(home: Home, port: int) -> list[str]:
    return [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path), "ui", "--port", str(port)]


def test_the_pages_show_columns_plots_checks_partitions_and_groups(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    page.goto(f"{url}/assets/benchmark_metrics")
    expect(page.get_by_text("average precision, generated = positive").first).to_be_visible(timeout=60_000)
    page.goto(f"{url}/assets/photos")
    page.get_by_role("button", name="Plots").click(timeout=60_000)
    expect(page.get_by_text("rows_per_second").first).to_be_visible(timeout=60_000)
    expect(page.locator("canvas").first).to_be_visible()
    page.goto(f"{url}/assets/files?view=checks")
    for shown in ("in = out + quarantined", "Passed", "quarantined"):
        expect(page.get_by_text(shown).first).to_be_visible(timeout=60_000)
    page.goto(f"{url}/assets/files?view=partitions")
    expect(page.get_by_text("simulated").first).to_be_visible(timeout=60_000)
    page.goto(f"{url}/assets/report")
    expect(page.get_by_text(home.report.name, exact=True).first).to_be_visible(timeout=60_000)
    page.goto(f"{url}/asset-groups")
    for group in GROUPS:
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)
    assert left_of(page, "corpus", "exif", "training", "detection", "benchmark", "publication")


def left_of(page: Page, *groups: str) -> bool:
    """Whether the groups stand in the graph in this order, from left to right."""
    boxes = [page.get_by_text(group, exact=True).last.bounding_box() for group in groups]
    places = [box["x"] for box in boxes if box]
    return len(places) == len(groups) and places == sorted(places)


def test_a_click_materialises_an_asset(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    materialise_by_click(page, url, home, "benchmark_metrics")


def test_the_launchpad_registers_a_corpus_and_says_what_is_missing(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    page.goto(f"{url}/locations/sdaie/jobs/register_a_corpus/playground")
    # What is asked for, and what it means.
    expect(page.get_by_text("Missing required config entries").first).to_be_visible(timeout=60_000)
    page.get_by_text("config", exact=True).first.click()
    expect(page.get_by_text("Column of the table whose values are held out together").first).to_be_visible()
    entry = "{name: clicked, source: simulated/corpus, train: false}"
    editor = page.locator(".CodeMirror").first
    editor.evaluate(f"it => it.CodeMirror.setValue('ops: {{register_corpus: {{config: {entry}}}}}')")
    page.get_by_role("button", name="Launch Run").click(timeout=60_000)
    wait_until(lambda: "[corpora.clicked]" in home.registry.read_text())


def test_the_schedule_is_switched_on_by_click(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    page.goto(f"{url}/automation")
    name = page.get_by_text("retrain_weekly", exact=True).first
    switch = name.locator("xpath=ancestor::div[.//label][1]").locator("label[class*=formatSwitch]")
    # It is shown before the page knows its state, and until then clicks go nowhere.
    expect(switch.locator("input")).to_be_enabled(timeout=60_000)
    expect(switch.locator("input")).not_to_be_checked()
    switch.click()
    expect(switch.locator("input")).to_be_checked(timeout=60_000)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:

        def running() -> bool:
            states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
            return [state.name for state in states if state.is_running] == ["retrain_weekly"]

        wait_until(running)


def test_two_generators_are_made_again_by_click(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    page.goto(f"{url}/assets/benchmark_images")
    page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
    page.get_by_text("Select a partition or create one").click(timeout=60_000)
    for partition in ("simulated.bicubic", "simulated.lanczos"):
        page.get_by_role("menuitem").filter(has_text=partition).click(timeout=60_000)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch").last.click()
    page.goto(f"{url}/runs/?view=backfills")
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        wait_until(lambda: [each.status for each in instance.get_backfills()] == [BulkActionStatus.COMPLETED_SUCCESS])
        (backfill,) = instance.get_backfills()
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id}))
    assert {run.tags["dagster/partition"] for run in runs} == {"simulated.bicubic", "simulated.lanczos"}
    assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in runs)
    page.goto(f"{url}/runs/b/{backfill.backfill_id}")
    expect(page.get_by_text("simulated.bicubic").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Completed").first).to_be_visible(timeout=60_000)


def test_a_failure_names_its_step_and_re_execution_runs_what_is_missing(opened: tuple[str, Home, Page]) -> None:
    url, home, page = opened
    plug_in = home.path / "brightness.py"
    sound = plug_in.read_text()
    plug_in.write_text(sound.replace("return", "raise ValueError('the lamp is broken')\n        return"))
    failed = launch(page, url, ["benchmark_images", "benchmark_pixel_scores", "benchmark_scores"], "simulated.bicubic")
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        wait_until(lambda: status_of(instance, failed) == dg.DagsterRunStatus.FAILURE)
        page.goto(f"{url}/runs/{failed}")
        expect(page.get_by_text("the lamp is broken").first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("benchmark_pixel_scores").first).to_be_visible(timeout=60_000)
        plug_in.write_text(sound)
        page.get_by_role("button", name="Re-execute all").locator("xpath=following::button[1]").click(timeout=60_000)
        page.get_by_text("From failure", exact=True).click()
        wait_until(lambda: any(run.parent_run_id == failed for run in instance.get_runs(limit=3)))
        (again,) = (run.run_id for run in instance.get_runs(limit=3) if run.parent_run_id == failed)
        wait_until(lambda: status_of(instance, again) == dg.DagsterRunStatus.SUCCESS)
        steps = {step.step_key for step in instance.get_run_step_stats(again)}
    assert steps == {"benchmark_pixel_scores", "benchmark_scores"}


LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  ... on LaunchRunSuccess { run { runId } } } }"""


def launch(page: Page, url: str, assets: list[str], partition: str) -> str:
    """Have some assets of a partition made anew, by the request that the UI sends; its run."""
    tags = {"dagster/partition": partition, FORCE_TAG: "true"}
    params = {
        "selector": {
            "repositoryLocationName": "sdaie",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]} for asset in assets],
            "assetCheckSelection": [],
        },
        "mode": "default",
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    answer = page.request.post(f"{url}/graphql", data={"query": LAUNCH, "variables": {"params": params}}).json()
    run: str = answer["data"]["launchPipelineExecution"]["run"]["runId"]
    return run


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus | None:
    run = instance.get_run_by_id(run_id)
    return run.status if run else None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_the_command_ends(tmp_path: Path, number: signal.Signals) -> None:
    home, port = Home(tmp_path / "home"), free_port()
    elsewhere, temporary = tmp_path / "elsewhere", tmp_path / "temporary"
    elsewhere.mkdir()
    temporary.mkdir()
    environment = clean_environment() | {"HOME": str(elsewhere), "TMPDIR": str(temporary)}
    with started(ui_words(home, port), elsewhere, environment) as process:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        services = children_of(process.pid)
        assert len(services) == 3
        assert memory([process.pid, *services]) < 900
        if number == signal.SIGINT:
            # As a terminal does.
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said = process.stderr.read()
        process.wait()
    wait_until(lambda: not any(Path(f"/proc/{service}").exists() for service in services))
    assert list(elsewhere.iterdir()) == []
    if number != signal.SIGKILL:
        assert said == "stopped\n"
        assert process.returncode == 0
        assert list(temporary.iterdir()) == []


@contextmanager
def started(words: list[str], cwd: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own, as a terminal starts it; it is killed if it does not end in the block."""
    with subprocess.Popen(
        words, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def materialise_by_click(page: Page, url: str, home: Home, asset: str) -> None:
    """Press the button as a person does, and wait until the daemon has run it."""
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        before = {run.run_id for run in instance.get_runs()}

        def clicked() -> list[str]:
            """Runs that were not there, without those that the daemon started by itself."""
            new = [run for run in instance.get_runs() if run.run_id not in before]
            return [run.run_id for run in new if run.tags.get("dagster/from_ui") == "true"]

        page.goto(f"{url}/assets/{asset}")
        page.get_by_role("button", name="Materialize").first.click(timeout=60_000)
        wait_until(lambda: bool(clicked()))
        (run,) = clicked()
        wait_until(lambda: status_of(instance, run) == dg.DagsterRunStatus.SUCCESS)


def test_dagster_dev_loads_the_workspace_without_dagster_home(tmp_path: Path, opened: tuple[str, Home, Page]) -> None:
    # A second browser cannot be driven while the first one is.
    *_, page = opened
    port = free_port()
    dagster = str(Path(sys.executable).with_name("dagster"))
    words = [dagster, "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    environment = clean_environment() | {"SDAIE_HOME": str(tmp_path / "home")}
    with served(words, environment, port, tmp_path):
        page.goto(f"http://127.0.0.1:{port}/asset-groups")
        expect(page.get_by_text("publication", exact=True).first).to_be_visible(timeout=60_000)
