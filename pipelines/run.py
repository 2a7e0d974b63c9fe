"""Bring every registered corpus and benchmark set up to date, through Dagster: `sdaie run`, and the jobs of the UI.

Which stages there are and when one is current belongs to `assets/`; the order and the runs belong here. One run has one
kind of partition, so the chain is run in waves.
"""

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import groupby

import dagster as dg

from assets.chain import STAGES
from assets.partitions import partition_keys
from assets.promotion import challenger
from assets.stage import FORCE_TAG, Context, Partitioned, Stage
from pipelines.history import failed_run, is_interruption
from pipelines.instance import COMMAND_TAG, only_run
from warehouse.home import Home, UserError
from warehouse.registry import read_registry
from warehouse.store import WHOLE

Say = Callable[[str], None]
PROMOTION = challenger.group


def run(
    home: Home,
    say: Say,
    *,
    groups: Collection[str] | None = None,
    force: bool = False,
    wait: bool = False,
    tags: Mapping[str, str] | None = None,
) -> bool:
    """Run what is not current (with `force`: everything), in order; False where nothing was to do.

    With `groups` only the stages of these groups. With `wait`, waits for another one that is at work in this home. A
    challenger that is refused ends nothing: the champion answers as before. Raises UserError with the reason of the
    first stage that failed.
    """
    if not read_registry(home).corpora:
        raise UserError(f"nothing is registered in {home.path}: `sdaie corpus add NAME SOURCE` first, or `make demo`")
    # Stages, and the processes that Dagster starts, find the home there.
    os.environ["SDAIE_HOME"] = str(home.path)
    # The definitions have the jobs that call this.
    from pipelines.definitions import build_definitions

    stages = [stage for stage in STAGES if groups is None or stage.group in groups]
    if not force and all(stage.is_current(context) for stage, context in _work(home, stages)):
        return False
    definitions = build_definitions()
    with only_run(home, say if wait else None) as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        execute = partial(_execute, job, instance, force=force, tags={**COMMAND_TAG, **(tags or {})})
        for (partitioned, _), members in groupby(stages, key=_wave):
            wave = list(members)
            for partition in partition_keys(home, partitioned) if partitioned else [WHOLE]:
                context = Context(home, partition)
                todo = wave if force else _from_first_stale(wave, context)
                if todo:
                    where = f" [{partition}]" if partitioned else ""
                    say(f"{', '.join(stage.name for stage in todo)}{where}")
                    if not execute(todo, partition if partitioned else None):
                        say("the challenger was refused: the champion answers as before")
                        # The refusal ended the run before the stages that write that down.
                        if rest := _from_first_stale(wave, context):
                            execute(rest, None)
    return True


def _wave(stage: Stage) -> tuple[Partitioned | None, bool]:
    """Stages in one run: of one kind of partition, and with a challenger only what its refusal may end."""
    return stage.partitioned, stage.group == PROMOTION


def _work(home: Home, stages: list[Stage]) -> Iterator[tuple[Stage, Context]]:
    for stage in stages:
        for partition in partition_keys(home, stage.partitioned) if stage.partitioned else [WHOLE]:
            yield stage, Context(home, partition)


def _from_first_stale(wave: list[Stage], context: Context) -> list[Stage]:
    """The stages of a wave from the first that is not current; later ones that turn out current do nothing."""
    stale = [index for index, stage in enumerate(wave) if not stage.is_current(context)]
    return wave[stale[0] :] if stale else []


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    stages: list[Stage],
    partition: str | None,
    *,
    force: bool,
    tags: Mapping[str, str],
) -> bool:
    """One run; False where nothing failed in it but what a challenger was asked. Raises UserError as `run` does."""
    # Dagster warns on every use of its pipes that one of its own functions may change.
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    result = job.execute_in_process(
        run_config={"loggers": {"console": {"config": {}}}},
        instance=instance,
        asset_selection=[dg.AssetKey(stage.name) for stage in stages],
        partition_key=partition,
        tags={**tags, **({FORCE_TAG: "true"} if force else {})},
        raise_on_error=False,
    )
    if result.success:
        return True
    failures = result.filter_events(lambda event: event.is_step_failure)
    if any(map(is_interruption, failures)):
        raise KeyboardInterrupt
    failed = failed_run(instance, result.run_id)
    if failed.refused:
        return False
    first = failed.reasons[0]
    where = f"{first.step}: " if first.step else ""
    said_by_stage = any(event.step_failure_data.user_failure_data is not None for event in failures)
    rest = "" if said_by_stage else f" (all of it: `sdaie ui`, run {result.run_id})"
    raise UserError(f"{where}{first.reason}{rest}")
