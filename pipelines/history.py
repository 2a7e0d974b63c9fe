"""What Dagster's history says of runs: which were the last, how they ended, and why those failed that did.

Asking the instance belongs here, and looking at it without making anything. Opening it for work belongs to
`instance.py`; where failures are written down, to `failures.py`; how runs are printed, to `cli_status.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from assets.promotion import GATES, challenger
from assets.stage import HOLDER_TAG
from pipelines.instance import PART_OF, history_written
from warehouse.failures import FailedRun, Reason
from warehouse.home import Home

_PARTITION_TAG = "dagster/partition"
_NO_JOB = "__ASSET_JOB"
"""Dagster's name for the job of a run whose assets were chosen one by one."""
_PAGE = 50


@dataclass(frozen=True)
class Run:
    """A run: `status` in Dagster's words or `refused`, `when` UTC in ISO 8601; `seconds` None while it runs."""

    run: str
    job: str
    partition: str | None
    status: str
    when: str
    seconds: float | None
    reasons: Sequence[Reason]


def recent_runs(home: Home, number: int) -> list[Run]:
    """The last runs, the newest first, without those that a job started as its parts.

    Empty where no instance was made yet, and none is made. Raises UserError where Dagster's history cannot be opened.
    """
    with _looking(home) as instance:
        return [_run(instance, record) for record in _last(instance, number)] if instance else []


def failed_run(instance: dg.DagsterInstance, run_id: str) -> FailedRun:
    """What there is to say of a run that failed. Raises LookupError where the instance knows no such run."""
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        raise LookupError(f"no run {run_id}")
    run = record.dagster_run
    return FailedRun(
        when=_iso(record.end_time or record.update_timestamp.timestamp()),
        run=run_id,
        job=_job(run),
        partition=run.tags.get(_PARTITION_TAG),
        part_of=run.tags.get(PART_OF),
        refused=_refused(instance, run_id),
        reasons=_reasons(instance, run_id),
    )


def _last(instance: dg.DagsterInstance, number: int) -> list[dg.RunRecord]:
    found: list[dg.RunRecord] = []
    cursor = None
    while len(found) < number and (page := instance.get_run_records(limit=_PAGE, cursor=cursor)):
        found += [record for record in page if PART_OF not in record.dagster_run.tags]
        cursor = page[-1].dagster_run.run_id
    return found[:number]


@contextmanager
def _looking(home: Home) -> Iterator[dg.DagsterInstance | None]:
    # Opening an instance makes its databases, so it is opened where somebody made them before.
    if not (home.dagster / "dagster.yaml").is_file():
        yield None
        return
    with history_written(home), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        yield instance


def _run(instance: dg.DagsterInstance, record: dg.RunRecord) -> Run:
    run = record.dagster_run
    failed = run.status == dg.DagsterRunStatus.FAILURE
    started = record.start_time or record.create_timestamp.timestamp()
    return Run(
        run=run.run_id,
        job=_job(run),
        partition=run.tags.get(_PARTITION_TAG),
        status="refused" if failed and _refused(instance, run.run_id) else run.status.value.lower(),
        when=_iso(started),
        seconds=round(record.end_time - started, 1) if record.end_time else None,
        reasons=_reasons(instance, run.run_id) if failed else [],
    )


def _job(run: dg.DagsterRun) -> str:
    """What was started: the command, a job, or assets without a job."""
    return run.tags.get(HOLDER_TAG, "assets" if run.job_name == _NO_JOB else run.job_name)


def _reasons(instance: dg.DagsterInstance, run_id: str) -> list[Reason]:
    """A line for each failed step; of a step that only counted, one for each check that did not pass."""
    found = []
    checks = _failed_checks(instance, run_id)
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        own = [each for step, each in checks if step == event.step_key]
        if _is_failed_check(event) and own:
            said = [each.description or "the check did not pass" for each in own]
            found += [Reason(event.step_key, f"{c.check_name}: {_first(s)}") for c, s in zip(own, said, strict=True)]
        else:
            found.append(Reason(event.step_key, _reason(event)))
    if not found:
        ended = _events(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
        found = [Reason(None, _first(event.message or "failed")) for event in ended]
    return found


def _reason(event: dg.DagsterEvent) -> str:
    """The line a person should read: what a stage said is to be mended, else the first line of the error itself."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return _first(failure.user_failure_data.description)
    if is_interruption(event):
        return "stopped by a signal"
    error = failure.error and (failure.error.cause or failure.error)
    return _first(error.message) if error else "failed"


def is_interruption(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because a signal stopped it."""
    error = event.step_failure_data.error
    cause = error and (error.cause or error)
    return cause is not None and cause.cls_name == "DagsterExecutionInterruptedError"


def _refused(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether nothing failed but checks that a challenger has to pass."""
    steps = _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE)
    checks = [each for _, each in _failed_checks(instance, run_id)]
    return (
        bool(steps)
        and all(_is_failed_check(event) for event in steps)
        and bool(checks)
        and all(c.asset_key.to_user_string() == challenger.name and c.check_name in GATES for c in checks)
    )


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str | None, dg.AssetCheckEvaluation]]:
    """The blocking checks that did not pass, each with its step."""
    checks = [
        (event.step_key, event.asset_check_evaluation_data)
        for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    return [
        (step, each)
        for step, each in checks
        if each.blocking and not each.passed and each.severity == dg.AssetCheckSeverity.ERROR
    ]


def _is_failed_check(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    records = instance.get_records_for_run(run_id, of_type=kind).records
    events = (record.event_log_entry.dagster_event for record in records)
    return [event for event in events if event is not None]


def _first(text: str) -> str:
    return next(iter(text.strip().splitlines()), "failed")


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
