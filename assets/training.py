"""Training in a process of its own: started where it has not come to its end, else taken as it is.

What is trained, and on what, belongs to the stages; the process to `pipelines/train_process.py`, the program to
`models/train.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assets.stage import Context, Stage
from models.train_config import RunConfig
from warehouse.curve_picture import curve_markdown
from warehouse.home import UserError

TRAIN_PROCESS = "pipelines.train_process"
METRICS = "metrics.json"
SHARED = ("pretext", "binary")
"""Tasks that several ranks may share; the others are trained in one process."""


def with_steps(config: RunConfig, steps: int | None) -> dict[str, Any]:
    """A configuration as a job takes it, with another number of steps where one was asked for."""
    return asdict(config if steps is None else replace(config, steps=steps))


def crops_job(context: Context, of: Stage, folder: Path, task: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The job of a stage that trains on the reference crops, as `models.train.run_job` takes it."""
    shards = [str(path) for path in context.store.paths("reference_crops")]
    provenance = of.provenance(context)
    return {"task": task, "config": config, "crop_shards": shards, "out": str(folder), "provenance": provenance}


def launched(context: Context, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metrics of a job that is run to its end now, in the folder `out`. UserError where nothing can start it."""
    if context.launch is None:
        raise UserError("training starts a process of its own: run it through Dagster or `sdaie run`")
    context.launch(TRAIN_PROCESS, {**job, **_cluster(context, job)})
    return _metrics(Path(job["out"]))


def _cluster(context: Context, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a job says further where several ranks are to share it. UserError where there is no cluster for them."""
    ranks, compute = context.registry.training.ranks, context.registry.compute
    if ranks == 1:
        return {}
    if compute.engine != "ray":
        raise UserError(
            f'ranks = {ranks} in [training] needs a cluster: set engine = "ray" in [compute], or leave ranks out'
        )
    if job.get("task", SHARED[0]) not in SHARED:
        context.say(f"ranks = {ranks} is of the backbone and the binary detector: this is trained in one process")
        return {}
    context.say(f"{ranks} ranks on the Ray cluster ({compute.address})")
    return {"cluster": {"ranks": ranks, "address": compute.address}}


def trained(context: Context, weights: str, said: str, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metrics of a job; one that has left its `weights` and metrics in `out` is not run again, but for `force`.

    `said` is what is said when it starts. UserError as `launched`.
    """
    folder = Path(job["out"])
    # The metrics are written last.
    if not context.force and (folder / METRICS).exists() and (folder / weights).exists():
        return _metrics(folder)
    context.say(said)
    return launched(context, job)


def _metrics(folder: Path) -> Mapping[str, Any]:
    metrics: Mapping[str, Any] = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return metrics


def curve(what: str, entries: Sequence[Mapping[str, Any]], value: str) -> str:
    """A value of the curve or of the validations of metrics over the steps, as a small picture in Markdown."""
    return curve_markdown(what, [entry["step"] for entry in entries], [entry[value] for entry in entries])
