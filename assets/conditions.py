"""Which sets are judged, and under what: tracks, and on each the perturbations of the grid.

What tracks and perturbations do belongs to `models/`; which of them a set goes through is decided here, once for all
kinds of detectors.
"""

import polars as pl

from assets.benchmark_images import set_and_generator
from assets.stage import Context

EVALUATE = "evaluate"
Conditions = tuple[tuple[str, tuple[str, ...]], ...]
"""Tracks, each with its perturbations."""


def reference_conditions() -> Conditions:
    """What reference photographs are put through: what is fitted and calibrated."""
    from models.perturbations import NONE
    from models.tracks import TRACKS

    return tuple((track, (NONE,)) for track in TRACKS)


def set_conditions(context: Context) -> Conditions:
    """What the images of the partition's set are put through: its tracks, and on each the perturbations of the grid.

    Nothing where the set is there to train the binary detector alone.
    """
    from models.perturbations import conditions
    from models.tracks import tracks_of

    registry = context.registry
    dataset = registry.datasets[set_and_generator(context)[0]]
    if EVALUATE not in dataset.use:
        return ()
    return tuple((track, conditions(registry.evaluation.grid, track)) for track in tracks_of(dataset.wild))


def evaluated_sets(context: Context) -> list[str]:
    """The registered sets that detectors are measured on."""
    return [name for name, dataset in context.registry.datasets.items() if EVALUATE in dataset.use]


def evaluated_images(context: Context) -> pl.DataFrame:
    """Rows of `benchmark_images` of these sets, each content once in a set, whatever number of generators it serves."""
    return (
        context.store.read("benchmark_images", context.benchmark_partitions())
        .filter(pl.col("dataset").is_in(evaluated_sets(context)))
        .unique(["dataset", "image_id"], keep="first", maintain_order=True)
        .sort("dataset", "image_id")
    )
