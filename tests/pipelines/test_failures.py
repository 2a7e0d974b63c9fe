"""The sensor on real failing runs, in a real instance."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.failures import failed_runs
from pipelines.history import recent_runs
from pipelines.instance import open_instance
from pipelines.jobs import JOBS
from pipelines.run import run
from warehouse.home import Home, UserError
from warehouse.registry import Corpus, add_corpus


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with a corpus whose folder went away after it was registered."""
    path = tmp_path_factory.mktemp("failures")
    home = Home(path / "home")
    home.path.mkdir()
    (path / "photographs").mkdir()
    add_corpus(home, "mine", Corpus(source=str(path / "photographs")))
    (path / "photographs").rmdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDAIE_HOME", str(home.path))
        yield home


@pytest.fixture(scope="module")
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with open_instance(home) as instance:
        yield instance


def tick(instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    """What the daemon does every 30 seconds."""
    return failed_runs.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor)).cursor


def lines(home: Home) -> list[dict[str, Any]]:
    return [json.loads(line) for line in home.failures.read_text(encoding="utf-8").splitlines()]


def written_down(
    home: Home, instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition], *checks: dg.AssetChecksDefinition
) -> dict[str, Any]:
    """The line of a run of these assets, which fails."""
    job = dg.Definitions(assets=assets, asset_checks=checks).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(quiet, instance=instance, raise_on_error=False)
    assert not result.success
    event, failed = result.get_run_failure_event(), result.dagster_run
    failed_runs(dg.build_run_status_sensor_context("failed_runs", event, instance, failed))
    line = lines(home)[-1]
    assert line["run"] == failed.run_id
    return line


def test_the_daemon_writes_down_a_failed_run_of_the_command_once(home: Home, instance: dg.DagsterInstance) -> None:
    start = tick(instance, None)
    with pytest.raises(UserError):
        run(home, lambda said: None)
    after = tick(instance, start)
    assert after != start
    tick(instance, start)
    tick(instance, after)
    (line,) = lines(home)
    assert (line["job"], line["partition"], line["refused"]) == ("sdaie run", "mine", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", line["when"])
    (reason,) = line["reasons"]
    assert reason["step"] == "files"
    assert "no such file or folder" in reason["reason"]
    shown = recent_runs(home, 1)[0]
    assert (shown.run, shown.status, [vars(each) for each in shown.reasons]) == (line["run"], "failure", [reason])


def test_a_job_and_its_part_that_failed_are_two_lines_and_one_run(home: Home, instance: dg.DagsterInstance) -> None:
    start = tick(instance, None)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    (ingest,) = (job for job in JOBS if job.name == "ingest")
    assert isinstance(ingest, dg.JobDefinition)
    result = ingest.execute_in_process(quiet, instance=instance, raise_on_error=False)
    tick(instance, start)
    part, whole = lines(home)[-2:]
    assert (whole["run"], whole["job"], whole["part_of"]) == (result.run_id, "ingest", None)
    assert (part["job"], part["partition"], part["part_of"]) == ("sdaie run", "mine", result.run_id)
    (reason,) = whole["reasons"]
    assert reason["step"] == "read_photographs"
    assert reason["reason"] == f"files: {part['reasons'][0]['reason']}"
    assert recent_runs(home, 1)[0].run == result.run_id
    assert part["run"] not in [each.run for each in recent_runs(home, 100)]


def test_an_error_nobody_expected_is_its_first_line(home: Home, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def broken() -> None:
        raise ValueError("half of it\nand the rest")

    line = written_down(home, instance, [broken])
    assert (line["job"], line["partition"]) == ("assets", None)
    assert line["reasons"] == [{"step": "broken", "reason": "ValueError: half of it"}]


def test_a_run_that_a_person_stopped_says_so(home: Home, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def long() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    assert written_down(home, instance, [long])["reasons"] == [{"step": "long", "reason": "stopped by a signal"}]


def test_a_run_that_was_killed_says_so(home: Home, instance: dg.DagsterInstance) -> None:
    killed = instance.create_run_for_job(dg.job(name="train")(lambda: None))
    instance.report_run_failed(killed, "its process was killed")
    start = tick(instance, None)
    again = instance.create_run_for_job(dg.job(name="score")(lambda: None), tags={"dagster/partition": "set.gan"})
    instance.report_run_failed(again, "its process was killed")
    tick(instance, start)
    first, line = lines(home)[-2:]
    assert first["run"] != killed.run_id  # what failed before the first look is the history's alone
    assert (line["job"], line["partition"]) == ("score", "set.gan")
    assert line["reasons"] == [{"step": None, "reason": "its process was killed"}]


@dg.asset
def challenger() -> None:
    pass


@dg.asset(deps=[challenger])
def champion() -> None:
    pass


@dg.asset_check(asset=challenger, blocking=True)
def headline_auroc() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="0.91 where the champion has 0.93\nby set: ...")


@dg.asset_check(asset=challenger, blocking=True)
def realised_false_positive_rate() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=challenger)
def a_warning() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=challenger, blocking=True)
def rows_kept() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 rows are lost")


def test_a_challenger_that_does_not_pass_its_gate_is_refused(home: Home, instance: dg.DagsterInstance) -> None:
    checks = [headline_auroc, realised_false_positive_rate, a_warning]
    line = written_down(home, instance, [challenger, champion], *checks)
    assert line["refused"]
    assert line["reasons"] == [
        {"step": "challenger_headline_auroc", "reason": "headline_auroc: 0.91 where the champion has 0.93"}
    ]
    assert recent_runs(home, 1)[0].status == "refused"


def test_where_another_check_failed_too_it_is_a_failure(home: Home, instance: dg.DagsterInstance) -> None:
    line = written_down(home, instance, [challenger], headline_auroc, rows_kept)
    assert not line["refused"]
    assert sorted(each["reason"] for each in line["reasons"]) == [
        "headline_auroc: 0.91 where the champion has 0.93",
        "rows_kept: 3 rows are lost",
    ]
    assert recent_runs(home, 1)[0].status == "failure"


def test_where_an_asset_failed_too_it_is_a_failure(home: Home, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def broken() -> None:
        raise ValueError("boom")

    assert not written_down(home, instance, [challenger, broken], headline_auroc)["refused"]


def test_looking_at_a_home_without_a_history_makes_none(tmp_path: Path) -> None:
    assert recent_runs(Home(tmp_path), 5) == []
    assert list(tmp_path.iterdir()) == []
