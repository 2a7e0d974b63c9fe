"""The Dagster instance of a home: its folder, its settings, its partitions, and what killed runs left in it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from assets.partitions import synchronise
from assets.stage import HOLDER_TAG
from warehouse.home import Home, UserError, write_text
from warehouse.home_lock import held_alone

SETTINGS = Path(__file__).with_name("dagster.yaml")
# A command speaks on its own terminal. Copying that into log files takes two processes a step, and they answer Ctrl-C
# with tracebacks.
_NO_COPIES = """
compute_logs:
  module: dagster.core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
COMMAND_TAG = {HOLDER_TAG: "sdaie run"}
"""Runs with this tag live no longer than the process that holds the home's lock."""

PART_OF = "sdaie/part_of"
"""Tag of the runs that a step of a job starts: the run of the job."""

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def prepare(home: Home) -> Path:
    """Make the instance's folder with the settings that ship with sdaie; a person's own settings stay."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        write_text(settings, SETTINGS.read_text(encoding="utf-8"))
    return home.dagster


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance of the home, with a partition for everything registered. Use as a context manager.

    Raises UserError where the home cannot be written.
    """
    with history_written(home):
        instance = dg.DagsterInstance.from_config(str(prepare(home)))
        synchronise(home, instance)
        return instance


@contextmanager
def only_run(home: Home, wait: Callable[[str], None] | None = None) -> Iterator[dg.DagsterInstance]:
    """The instance, for the one who brings the home up to date at a time; runs that were killed are ended first.

    Raises UserError where another process does so (with `wait`, says that and waits for it), and where the home cannot
    be written.
    """
    with held_alone(home, wait), history_written(home):
        settings = (prepare(home) / "dagster.yaml").read_text(encoding="utf-8")
        write_text(home.dagster / "command.yaml", settings + ("" if "compute_logs:" in settings else _NO_COPIES))
        with dg.DagsterInstance.from_config(str(home.dagster), "command.yaml") as instance:
            synchronise(home, instance)
            _end_killed(instance)
            yield instance


def end_killed_runs(home: Home, instance: dg.DagsterInstance) -> None:
    """End the runs that killed processes left unfinished, so that no other waits for them for ever."""
    try:
        with held_alone(home):
            _end_killed(instance)
    except UserError:
        return  # whoever holds it is at work


def _end_killed(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=COMMAND_TAG)):
        instance.report_run_failed(run, "its process was killed")
        # A killed step keeps its place in its pool, where the next one would wait for it for ever.
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


@contextmanager
def history_written(home: Home) -> Iterator[None]:
    """Raise UserError where Dagster cannot write its history, which it keeps in SQLite: looking at it writes too."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, sqlite3.OperationalError):
                raise UserError(
                    f"Dagster's history in {home.dagster} cannot be written ({cause}): free some space or give "
                    "permission to write there, and run it again"
                ) from None
            cause = cause.__cause__ or cause.__context__
        raise
