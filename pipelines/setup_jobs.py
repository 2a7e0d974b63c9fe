"""Jobs that register corpora and benchmark sets, and set how much is trained, so that a home is made by clicks alone.

They edit `sdaie.toml` by the functions that the command line uses; what comes of it is up to the other jobs.
"""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from assets.partitions import synchronise
from warehouse.addresses import is_address
from warehouse.home import Home, UserError
from warehouse.registry import (
    Corpus,
    Dataset,
    Training,
    add_corpus,
    add_dataset,
    resolve,
    set_coding,
    set_reconstruction,
    set_training,
)

_NAME = "Lower-case letters, digits, - and _, at most 64."


class NewCorpus(dg.Config):
    """Photographs to learn from."""

    name: str = Field(description=_NAME)
    source: str = Field(
        description="A folder, a table (.csv, .parquet), tar shards, as a path of the server; or an address (s3://...)."
    )
    group: str | None = Field(None, description="Column of the table whose values are held out together.")
    train: bool = Field(True, description="Train the backbone on it.")
    reference: bool = Field(True, description="Fit and calibrate detectors on it.")


class NewSet(dg.Config):
    """Images to be measured on."""

    name: str = Field(description=_NAME)
    source: str = Field(description="A folder or a table (.csv, .json) of photographs and generated images, as a path.")
    evaluate: bool = Field(True, description="Score it.")
    train: bool = Field(False, description="Train the binary detector on it.")
    wild: bool = Field(False, description="Collected from the open web: as shipped it is reported apart.")
    gate: bool = Field(False, description="Refuse a new detector that does worse on it.")


class Budget(dg.Config):
    """How much is trained."""

    steps: int = Field(2000, ge=1, le=1_000_000, description="Steps of training, 1 to 1,000,000.")
    crops: int = Field(2, ge=1, le=16, description="Crops kept of a photograph, 1 to 16.")
    autoencoder_steps: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps of each autoencoder, 1 to 1,000,000; left out: the default."
    )
    reconstruction_steps: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps of the network that tells their work; left out: the default."
    )
    coding_steps: int | None = Field(
        None, ge=1, le=1_000_000, description="Steps of the network that predicts coefficients; left out: the default."
    )
    preset: str = Field("compact", description="Size of the network: compact, or full as published.")


def _mended(work: Callable[[], None]) -> None:
    """Do it; what a user can mend ends the run in one sentence."""
    try:
        work()
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    # pydantic's own errors are ValueErrors of many lines.
    except ValueError as error:
        raise dg.Failure(" ".join(str(error).split()), allow_retries=False) from None


def _place(home: Home, source: str) -> str:
    """A source as it was typed: a path that is not absolute lies in the home."""
    return source if is_address(source) else str(resolve(home, source))


@dg.op(description="Add a corpus to sdaie.toml; the next `ingest` or `retrain` reads it.")
def register_corpus(context: dg.OpExecutionContext, config: NewCorpus) -> None:
    """Register a corpus."""
    home = Home.find()

    def work() -> None:
        uses = [name for name, wanted in (("train", config.train), ("reference", config.reference)) if wanted]
        entry = {"source": _place(home, config.source), "group": config.group, "use": uses}
        add_corpus(home, config.name, Corpus.model_validate(entry))
        synchronise(home, context.instance)

    _mended(work)


@dg.op(description="Add a benchmark set to sdaie.toml; the next `evaluate` or `retrain` scores it.")
def register_benchmark(context: dg.OpExecutionContext, config: NewSet) -> None:
    """Register a benchmark set."""
    home = Home.find()

    def work() -> None:
        uses = [name for name, wanted in (("evaluate", config.evaluate), ("train", config.train)) if wanted]
        entry = {"source": _place(home, config.source), "use": uses, "wild": config.wild, "gate": config.gate}
        add_dataset(home, config.name, Dataset.model_validate(entry))
        synchronise(home, context.instance)

    _mended(work)


@dg.op(description="Write how the backbone is trained to sdaie.toml; another budget makes another backbone.")
def set_budget(context: dg.OpExecutionContext, config: Budget) -> None:
    """Set the budget of training."""

    def work() -> None:
        home = Home.find()
        backbone = {"steps": config.steps, "crops": config.crops, "preset": config.preset}
        set_training(home, **Training.model_validate(backbone).model_dump(include=set(backbone)))
        networks = {"autoencoder_steps": config.autoencoder_steps, "steps": config.reconstruction_steps}
        if chosen := {name: steps for name, steps in networks.items() if steps is not None}:
            set_reconstruction(home, **chosen)
        if config.coding_steps is not None:
            set_coding(home, steps=config.coding_steps)

    _mended(work)


def _job(op: dg.OpDefinition, name: str) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name=name, node_defs=[op], description=op.description)
    return graph.to_job(executor_def=dg.in_process_executor)


SETUP_JOBS = [
    _job(register_corpus, "register_a_corpus"),
    _job(register_benchmark, "register_a_benchmark_set"),
    _job(set_budget, "set_the_training_budget"),
]
