"""What networks say of reference photographs, shard by shard: rows of a table that depend on source, group and fold.

Which photographs those are, and what is said of them, belongs to the stages.
"""

from collections.abc import Callable
from functools import partial

import polars as pl

from assets.corpus import photo_places
from assets.stage import Context, Product
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources

Item = tuple[Place, tuple[str, int]]
"""Where a photograph lies, its group and fold."""


def described_photographs(
    context: Context,
    table: str,
    reference: pl.DataFrame,
    describe: Callable[[dict[str, Source], int, tuple[Item, ...]], tuple[Rows, list[Quarantined]]],
    made_from: list[str],
    rows_are: str,
) -> Product:
    """Describe photographs, rows of `photos` with their fold: one shard after the other, those made before again.

    `describe` is given the sources, how many decoders may work side by side, and some photographs; `made_from` is what
    it depends on beside these, `rows_are` the plural by which rows are counted.
    """
    items: list[Item] = list(zip(photo_places(reference), reference.select("group", "fold").iter_rows(), strict=True))
    compute = context.compute.networks()
    rows, refused = run_shards(
        context.store,
        compute,
        table,
        cut_shards(
            table,
            items,
            lambda item: item[0].sha256,
            lambda item: [*item[0][:3], *item[1]],
            [context.version, *made_from],
        ),
        partial(describe, corpus_sources(context.home, context.registry), compute.cores_each),
        progress=context.progress(f"{rows_are} of the reference"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    numbers = {
        "photographs": len(items) - quarantined,
        "quarantined": quarantined,
        rows_are: sum(shard.rows for shard in rows),
    }
    return Product({table: rows}, numbers, {table: refused})
