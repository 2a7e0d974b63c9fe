"""From files to photographs: one row for each content (`photos`), and the fold of each group (`splits`).

Reading the files belongs to `crawl.py`; EXIF and pixels to the stages after these.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from assets.crawl import files
from assets.stage import Context, Product, stage
from warehouse.place_rows import PlaceRows
from warehouse.revisions import PHOTO
from warehouse.shards import frame, quarantine_partition
from warehouse.store import shard_bits

UNSEEN_FOLDS = (3, 4)
"""Folds that nothing is fitted on: the first validates, the second calibrates."""
CALIBRATION = UNSEEN_FOLDS[-1]
FOLDS = 5
_AT_ONCE = 1 << 19
"""Files, at most about, whose contents are compared at once."""


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
    paths = context.store.paths("files", list(uses))
    listed = pl.scan_parquet(paths) if paths else frame("files", []).lazy()
    found = listed.filter(pl.col("state") == PHOTO)
    count = found.select(pl.len()).collect().item()
    bits = shard_bits(count, _AT_ONCE)
    # The same contents may stand in any shard of `files`, so each part is looked for in all.
    parts = (_by_content(found.filter(_begins(number, bits)).collect(), uses) for number in range(1 << bits))
    first = context.store.write_shard("photos", parts)
    return Product({"photos": [first]}, {"files": count, "photographs": first.rows})


def _begins(number: int, bits: int) -> pl.Expr:
    """Whether the first bits of a photograph's SHA-256 are those of a number."""
    low, high = (pl.lit(f"{end << 32 - bits:08x}") for end in (number, number + 1))
    return (pl.col("photo_id") >= low) & ((pl.col("photo_id") < high) if number + 1 < 1 << bits else pl.lit(value=True))


def _by_content(found: pl.DataFrame, uses: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Rows of `photos` for rows of `files`: the first place, by order of registration, of each content."""
    order = {name: number for number, name in enumerate(uses)}
    return (
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


def photo_places(photographs: pl.DataFrame) -> PlaceRows:
    """Where photographs lie, from rows of `photos`."""
    return PlaceRows(photographs)


def reference_photographs(context: Context) -> pl.DataFrame:
    """Photographs that say what photographs look like: rows of `photos` with their fold."""
    return (
        context.store.read("photos")
        .filter(pl.col("use").str.contains("reference"))
        .join(context.store.read("splits", columns=["group", "fold"]), on="group")
    )
