"""The schedule and the sensor of new files, asked as the daemon asks them."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.crawl import files
from assets.stage import Context
from pipelines.instance import open_instance
from pipelines.jobs import JOBS, RETRAIN
from pipelines.schedules import retrain_weekly
from pipelines.sensors import new_files
from warehouse.home import Home, UserError
from warehouse.registry import Corpus, Retrain, add_corpus, read_registry

MONDAY = datetime(2026, 11, 30, 3, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path / "home"))
    home = Home(tmp_path / "home")
    (home.path / "photographs").mkdir(parents=True)
    (home.path / "photographs" / "a.txt").write_text("no photograph")
    return home


def test_the_schedule_is_as_the_registry_says(home: Home) -> None:
    home.registry.write_text('[retrain]\ncron = "30 4 * * 2"\ntimezone = "Europe/Berlin"\nenabled = true\n')
    schedule = retrain_weekly(read_registry(home).retrain)
    assert schedule.cron_schedule == "30 4 * * 2"
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert retrain_weekly(Retrain()).default_status == dg.DefaultScheduleStatus.STOPPED
    for entry, said in (('cron = "weekly"', "five fields"), ('timezone = "Mars/North"', "no time zone")):
        home.registry.write_text(f"[retrain]\n{entry}\n")
        with pytest.raises(UserError, match=said):
            read_registry(home)


def test_a_retraining_is_skipped_while_another_is_not_finished(home: Home) -> None:
    schedule = retrain_weekly(Retrain())
    with open_instance(home) as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=MONDAY)
        asked = schedule(context)
        assert isinstance(asked, dg.RunRequest)
        assert asked.run_key == MONDAY.isoformat()
        job = next(job for job in JOBS if job.name == RETRAIN)
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        skipped = schedule(context)
        assert isinstance(skipped, dg.SkipReason)
        assert run.run_id in str(skipped.skip_message)


def look(cursor: str | None) -> dg.SensorResult:
    with dg.DagsterInstance.ephemeral() as instance:
        result = new_files(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result


def test_files_that_changed_are_asked_for_once(home: Home) -> None:
    first = look(None)
    assert not first.run_requests
    add_corpus(home, "mine", Corpus(source=str(home.path / "photographs")))
    found = look(first.cursor)
    (request,) = found.run_requests or []
    assert request.job_name == "ingest"
    assert request.tags["sdaie/changed"] == "mine"
    # Asked for already, though not read yet.
    assert not look(found.cursor).run_requests
    files.materialise(Context(home, "mine"))
    assert not look(None).run_requests
    (home.path / "photographs" / "b.txt").write_text("nor this")
    again = look(found.cursor)
    (other,) = again.run_requests or []
    assert other.run_key != request.run_key


def test_a_registry_that_cannot_be_read_is_said_and_nothing_is_forgotten(home: Home) -> None:
    add_corpus(home, "mine", Corpus(source=str(home.path / "photographs")))
    found = look(None)
    text = home.registry.read_text()
    home.registry.write_text("[corpora")
    broken = look(found.cursor)
    assert "not valid TOML" in str(broken.skip_reason)
    home.registry.write_text(text)
    assert not look(broken.cursor).run_requests
