"""From files to photographs: one row for each content (`photos`), and the fold of each group (`splits`).

Reading the files belongs to `crawl.py`; EXIF and pixels to the stages after these.
"""

import hashlib
from collections import Counter

import polars as pl

from assets.crawl import files
from assets.stage import Context, Product, stage
from warehouse.places import Place
from warehouse.revisions import PHOTO
from warehouse.shards import frame, quarantine_partition

UNSEEN_FOLDS = (3, 4)
"""Folds that nothing is fitted on: the first validates, the second calibrates."""
FOLDS = 5


def _uses(context: Context) -> dict[str, list[str]]:
    return {name: sorted(corpus.use) for name, corpus in context.registry.corpora.items()}


@stage(
    group="corpus",
    tables=["photos"],
    upstream=[files],
    settings=lambda context: list(_uses(context).items()),
    eager=True,
)
def photos(context: Context) -> Product:
    """One row for each photograph by content, whichever corpora hold it; the first registered names its place."""
    uses = _uses(context)
    for partition in set(context.store.partitions("files")) - set(uses):
        context.store.drop("files", partition, beside=[("quarantine", quarantine_partition("files", partition))])
    order = {name: number for number, name in enumerate(uses)}
    found = context.store.read("files", list(uses)).filter(pl.col("state") == PHOTO)
    first = (
        found.with_columns(
            order=pl.col("corpus").replace_strict(order, default=None, return_dtype=pl.Int64),
            use=pl.col("corpus").replace_strict(
                {name: "+".join(use) for name, use in uses.items()}, default=None, return_dtype=pl.String
            ),
        )
        .sort("photo_id", "order", "uri")
        .group_by("photo_id", maintain_order=True)
        .agg(
            pl.exclude("use", "order", "state", "revision", "etag", "source").first(),
            pl.col("use").str.split("+").explode(empty_as_null=True, keep_nulls=True).unique().sort().str.join("+"),
            places=pl.len().cast(pl.Int32),
        )
    )
    return Product({"photos": first}, {"files": len(found), "photographs": len(first)})


@stage(group="corpus", tables=["splits"], upstream=[photos], eager=True)
def splits(context: Context) -> Product:
    """The fold of each group: 0-2 train and fit, 3 validates, 4 calibrates. A group never moves once it has one."""
    counts = (
        context.store.read("photos", columns=["group", "corpus"])
        .group_by("group")
        .agg(pl.col("corpus").min(), photos=pl.len().cast(pl.Int64))
    )
    rows = context.store.read("splits").to_dicts()
    folds = {row["group"]: row["fold"] for row in rows}
    # Smallest in photographs of the group's own corpus first: every fold gets its share of every corpus.
    sizes: dict[tuple[str, int], int] = Counter()
    new = []
    for group, corpus, size in counts.iter_rows():
        if group in folds:
            sizes[corpus, folds[group]] += size
        else:
            new.append((corpus, -size, hashlib.sha256(group.encode()).hexdigest(), group))
    # Large groups first, so that folds even out; a hash breaks ties, so that names do not.
    for corpus, negative, _, group in sorted(new):
        fold = min(range(FOLDS), key=lambda f: (sizes[corpus, f], sum(sizes[c, f] for c, _ in list(sizes)), f))
        sizes[corpus, fold] -= negative
        rows.append({"group": group, "fold": fold, "photos": -negative})
    numbers = {f"photographs_fold_{fold}": sum(n for (_, f), n in sizes.items() if f == fold) for fold in range(FOLDS)}
    return Product({"splits": frame("splits", rows)}, {"new_groups": len(new), **numbers})


def photo_places(photographs: pl.DataFrame) -> list[Place]:
    """Where photographs lie, from rows of `photos`."""
    return [
        Place(*row)
        for row in photographs.select("photo_id", "corpus", "uri", "span", "size_bytes", "modified_ns").iter_rows()
    ]


def reference_photographs(context: Context) -> pl.DataFrame:
    """Photographs that say what photographs look like: rows of `photos` with their fold."""
    return (
        context.store.read("photos")
        .filter(pl.col("use").str.contains("reference"))
        .join(context.store.read("splits", columns=["group", "fold"]), on="group")
    )
