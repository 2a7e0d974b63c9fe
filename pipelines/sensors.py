"""What is looked at every minute: what is registered, and whether its files are others than those read last."""

import json
from collections.abc import Iterator

import dagster as dg

from assets.benchmark_images import benchmark_images
from assets.crawl import files
from assets.partitions import partition_keys, synchronise
from assets.square_detectors import square_detectors
from assets.stage import Context, Stage
from pipelines.instance import end_killed_runs
from pipelines.jobs import JOBS
from warehouse.addresses import is_address
from warehouse.home import Home, UserError, digest
from warehouse.registry import read_registry


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for each registered corpus and each generator of a benchmark set.",
    jobs=[],
)
def registered_partitions(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Follow the registry, and end runs whose process was killed; starts no run."""
    home = Home.find()
    try:
        end_killed_runs(home, context.instance)
        synchronise(home, context.instance)
    except UserError as error:
        return dg.SkipReason(str(error))
    return dg.SkipReason("partitions follow the registry")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts `ingest` where files of a corpus changed, `evaluate` where those of a benchmark set did. "
    "Addresses are looked at by the schedule alone.",
    jobs=[job for job in JOBS if job.name in ("ingest", "evaluate")],
)
def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Compare what is listed with what was read. The cursor keeps what was asked for already."""
    home = Home.find()
    asked: dict[str, str] = json.loads(context.cursor or "{}")
    now: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    problems: list[str] = []
    for job, stage, partition in _watched(home, problems):
        where = Context(home, partition)
        key = f"{job} {partition}"
        try:
            now[key] = digest(stage.settings(where))
        except UserError as error:
            problems.append(str(error))
            continue
        if now[key] != asked.get(key) and not stage.is_current(where):
            wanted.setdefault(job, []).append(partition)
    requests = [
        dg.RunRequest(job_name=job, run_key=digest([job, now]), tags={"sdaie/changed": " ".join(partitions)[:200]})
        for job, partitions in wanted.items()
    ]
    said = "; ".join(problems) or "nothing changed"
    # What cannot be looked at now is not forgotten.
    now = asked | now if problems else now
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else said,
        cursor=json.dumps(now, sort_keys=True),
    )


eager = dg.AutomationConditionSensorDefinition(
    "eager",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Brings the cheap assets up to date when what they are made from was made anew: from crawled files to "
    "typed EXIF, and the catalogue and the report.",
)


def _watched(home: Home, problems: list[str]) -> Iterator[tuple[str, Stage, str]]:
    """Job, stage and partition of all that is looked at."""
    try:
        registry = read_registry(home)
    except UserError as error:
        problems.append(str(error))
        return
    for name, corpus in registry.corpora.items():
        if not is_address(corpus.source):
            yield "ingest", files, name
    # Before there are detectors there is nothing to measure.
    if Context(home).store.manifest(square_detectors.tables[0], square_detectors.table_partition) is not None:
        try:
            partitions = partition_keys(home, "benchmark")
        except UserError as error:
            problems.append(str(error))
            return
        for partition in partitions:
            yield "evaluate", benchmark_images, partition
