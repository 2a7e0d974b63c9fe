"""Describing photographs, shard by shard: what was described before is taken again.

Which photographs those are, and what is said of them, belongs to the stages.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import polars as pl

from assets.corpus import photo_places
from assets.stage import Context, Product
from warehouse.compute import Compute
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, ShardWork, cut_shards, run_shards
from warehouse.sources import corpus_sources
from warehouse.store import Shard

Item = tuple[Place, tuple[str, int]]
"""Where a photograph lies, its group and fold."""
Work = TypeVar("Work")
Described = tuple[Rows, list[Quarantined]]


def described_places(
    context: Context,
    compute: Compute,
    table: str,
    places: Sequence[Place],
    describe: Callable[[dict[str, Source], int, tuple[Place, ...]], Described],
    made_from: Sequence[str],
    said: str,
) -> Product:
    """Describe photographs of which nothing but the pixels counts.

    `describe` is given the sources, how many decoders may work side by side, and some places; `made_from` is what it
    depends on beside these, `said` what progress is called.
    """
    # Neither size nor time of a file counts, nor where it lies in a shard: the SHA-256 says which it is.
    settings = [context.version, *made_from]
    work = cut_shards(table, places, lambda place: place.sha256, lambda place: place[:3], settings)
    made, refused, numbers = _described(context, compute, table, work, describe, said)
    return Product({table: made}, numbers, {table: refused})


def described_photographs(
    context: Context,
    table: str,
    reference: pl.DataFrame,
    describe: Callable[[dict[str, Source], int, tuple[Item, ...]], Described],
    made_from: Sequence[str],
    rows_are: str,
) -> Product:
    """Describe photographs by networks, rows of `photos` with their fold, where group and fold stand in each row too.

    `describe` and `made_from` as for `described_places`; `rows_are` is the plural by which rows are counted.
    """
    items: list[Item] = list(zip(photo_places(reference), reference.select("group", "fold").iter_rows(), strict=True))
    work = cut_shards(
        table,
        items,
        lambda item: item[0].sha256,
        lambda item: [*item[0][:3], *item[1]],
        [context.version, *made_from],
    )
    said = f"{rows_are} of the reference"
    made, refused, numbers = _described(context, context.compute.networks(), table, work, describe, said)
    return Product({table: made}, numbers | {rows_are: sum(shard.rows for shard in made)}, {table: refused})


def _described(
    context: Context,
    compute: Compute,
    table: str,
    work: Sequence[ShardWork[Work]],
    describe: Callable[[dict[str, Source], int, tuple[Work, ...]], Described],
    said: str,
) -> tuple[list[Shard], list[Shard], dict[str, int]]:
    """Shards of rows and of what was refused, and how many photographs each of these has."""
    made, refused = run_shards(
        context.store,
        compute,
        table,
        work,
        partial(describe, corpus_sources(context.home, context.registry), compute.cores_each),
        progress=context.progress(said),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    described = sum(len(each.items) for each in work) - quarantined
    return made, refused, {"photographs": described, "quarantined": quarantined}
