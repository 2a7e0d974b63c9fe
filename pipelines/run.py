"""`sdaie run`: bring every registered corpus and benchmark set up to date, through Dagster.

Which stages there are and when one is current belongs to `assets/`; the order and the runs belong here.
"""

import warnings
from collections.abc import Callable, Iterator
from itertools import groupby

import dagster as dg

from assets.chain import STAGES
from assets.partitions import partition_keys
from assets.stage import FORCE_TAG, Context, Stage
from pipelines.definitions import build_definitions
from pipelines.instance import COMMAND_TAG, only_run
from warehouse.home import Home, UserError
from warehouse.registry import read_registry
from warehouse.store import WHOLE

Say = Callable[[str], None]


def run(home: Home, say: Say, *, group: str | None = None, force: bool = False) -> bool:
    """Run what is not current (with `force`: everything), in order; False where nothing was to do.

    With `group` only the stages of that group. Raises UserError with the reason of the first stage that failed.
    """
    if not read_registry(home).corpora:
        raise UserError(f"nothing is registered in {home.path}: `sdaie corpus add NAME SOURCE` first, or `make demo`")
    stages = [stage for stage in STAGES if group in (None, stage.group)]
    if not force and all(stage.is_current(context) for stage, context in _work(home, stages)):
        return False
    definitions = build_definitions()
    with only_run(home) as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        for partitioned, members in groupby(stages, key=lambda stage: stage.partitioned):
            wave = list(members)
            for partition in partition_keys(home, partitioned) if partitioned else [WHOLE]:
                context = Context(home, partition)
                todo = wave if force else _from_first_stale(wave, context)
                if todo:
                    where = f" [{partition}]" if partitioned else ""
                    say(f"{', '.join(stage.name for stage in todo)}{where}")
                    _execute(job, instance, todo, partition if partitioned else None, force)
    return True


def _work(home: Home, stages: list[Stage]) -> Iterator[tuple[Stage, Context]]:
    for stage in stages:
        for partition in partition_keys(home, stage.partitioned) if stage.partitioned else [WHOLE]:
            yield stage, Context(home, partition)


def _from_first_stale(wave: list[Stage], context: Context) -> list[Stage]:
    """The stages of a wave from the first that is not current; later ones that turn out current do nothing."""
    stale = [index for index, stage in enumerate(wave) if not stage.is_current(context)]
    return wave[stale[0] :] if stale else []


def _execute(
    job: dg.JobDefinition, instance: dg.DagsterInstance, stages: list[Stage], partition: str | None, force: bool
) -> None:
    # Dagster warns on every use of its pipes that one of its own functions may change.
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    result = job.execute_in_process(
        run_config={"loggers": {"console": {"config": {}}}},
        instance=instance,
        asset_selection=[dg.AssetKey(stage.name) for stage in stages],
        partition_key=partition,
        tags=COMMAND_TAG | ({FORCE_TAG: "true"} if force else {}),
        raise_on_error=False,
    )
    if result.success:
        return
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        if failure.user_failure_data is not None:
            raise UserError(f"{event.step_key}: {failure.user_failure_data.description}")
        error = failure.error and (failure.error.cause or failure.error)
        if error and error.cls_name == "DagsterExecutionInterruptedError":
            raise KeyboardInterrupt
        first = error.message.strip().splitlines()[0] if error else "failed"
        raise UserError(f"{event.step_key}: {first} (all of it: `sdaie ui`, run {result.run_id})")
    raise UserError(f"run {result.run_id} failed: see it with `sdaie ui`")
