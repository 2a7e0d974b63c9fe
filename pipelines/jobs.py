"""The jobs a person or a schedule starts: bring a part of the chain, or all of it, up to date.

Dagster puts assets with one kind of partition into a job, and the chain has two; so each step of these jobs runs its
part of the chain as runs of their own, as `sdaie run` does. What stands in `sdaie.toml` is set by the jobs of
`setup_jobs.py`.
"""

from itertools import pairwise

import dagster as dg
from pydantic import Field

from pipelines.instance import PART_OF
from pipelines.run import run
from warehouse.home import Home, UserError

RETRAIN = "retrain"


class Anew(dg.Config):
    """How a part of the chain is run."""

    force: bool = Field(False, description="Make everything anew though it is current: hours instead of seconds.")


def _step(name: str, description: str, groups: tuple[str, ...]) -> dg.OpDefinition:
    @dg.op(
        name=name,
        description=description,
        ins={"after": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags={"dagster/kind": "sdaie"},
    )
    def step(context: dg.OpExecutionContext, config: Anew) -> None:
        def say(line: str) -> None:
            context.log.info(line)

        try:
            tags = {PART_OF: context.run_id}
            if not run(Home.find(), say, groups=groups, force=config.force, wait=True, tags=tags):
                say("nothing to do: everything is up to date")
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    return step


INGEST = _step("read_photographs", "Crawl every registered corpus; photographs, folds, EXIF.", ("corpus", "exif"))
TRAIN = _step("train_and_fit", "Crops, backbone, networks; fit and calibrate the detectors.", ("training", "detection"))
EVALUATE = _step("score_and_measure", "Score and measure every benchmark set.", ("benchmark",))
PROMOTE = _step("promote_or_refuse", "The newest detector becomes champion, or not.", ("promotion",))
PUBLISH = _step("publish_results", "Catalogue and report.", ("publication",))


def _job(name: str, description: str, steps: list[dg.OpDefinition]) -> dg.JobDefinition:
    """Steps one after another."""
    after = {step.name: {"after": dg.DependencyDefinition(before.name)} for before, step in pairwise(steps)}
    graph = dg.GraphDefinition(name=name, node_defs=steps, dependencies=after)
    # A step computes in processes of its own, so that another process for the step would be start-up and nothing else.
    return graph.to_job(description=description, executor_def=dg.in_process_executor)


JOBS = [
    _job("ingest", "Read what is new in the registered corpora, and say whether retraining is due.", [INGEST]),
    _job("train", "Train the backbone and the networks, and fit the detectors, on what was ingested.", [TRAIN]),
    _job("evaluate", "Measure all detectors on the registered benchmark sets, and publish.", [EVALUATE, PUBLISH]),
    _job(
        RETRAIN,
        "Ingest, train, fit, evaluate, then promote or refuse, and publish: all that is not up to date.",
        [INGEST, TRAIN, EVALUATE, PROMOTE, PUBLISH],
    ),
]
