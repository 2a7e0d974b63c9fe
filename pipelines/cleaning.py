"""The clean-up of a home beside nothing else: by the lock of the home, as a command and as a Dagster job.

What is removed belongs to `assets/cleaning.py`; the words of the command to `cli_clean.py`.
"""

import dagster as dg
from pydantic import Field

from assets.cleaning import Removed
from assets.cleaning import clean as clean_home
from pipelines.instance import only_run
from warehouse.home import Home, UserError

_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def clean(home: Home, *, dry_run: bool = False, own_run: str | None = None) -> list[Removed]:
    """Remove what nobody needs any more, and say what went, by kind; with `dry_run` only say what would go.

    `own_run` is the Dagster run that asks for it. Raises UserError where another run is at work in the home: it may be
    about to use a file that nothing names yet.
    """
    if dry_run or not home.path.exists():
        return clean_home(home, dry_run=True)
    with only_run(home) as instance:
        others = [run for run in instance.get_runs(dg.RunsFilter(statuses=_AT_WORK)) if run.run_id != own_run]
        if others:
            raise UserError(
                f"run {others[0].run_id} ({others[0].job_name}) is at work in {home.path}: wait for it, or end it in "
                "`sdaie ui`"
            )
        return clean_home(home)


def in_words(removed: Removed) -> str:
    """One line."""
    return f"{removed.things:,} {removed.kind}: {removed.files:,} files, {removed.bytes / 1e6:,.1f} MB"


class CleanUp(dg.Config):
    """What a person chooses when starting the job."""

    dry_run: bool = Field(default=False, description="Only say what would be removed.")


@dg.op(description="Remove what no table, champion or catalogue needs any more.")
def remove_unneeded(context: dg.OpExecutionContext, config: CleanUp) -> None:
    """Remove, and say what went in the log and as metadata of the output."""
    try:
        went = clean(Home.find(), dry_run=config.dry_run, own_run=context.run_id)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for removed in went:
        context.log.info(f"{'would remove' if config.dry_run else 'removed'} {in_words(removed)}")
    kinds = {removed.kind: in_words(removed) for removed in went}
    context.add_output_metadata({"bytes": sum(removed.bytes for removed in went), **kinds})


@dg.job(description="Remove from the home what nobody needs any more: old detectors, weights and shards of tables.")
def clean_up() -> None:
    """The job `clean_up`."""
    remove_unneeded()
