"""From registered corpora to photographs: crawl (`files`), one row per content (`photos`), folds (`splits`).

What a source is belongs to `warehouse/sources.py`; EXIF and pixels to the stages after these.
"""

import hashlib
from collections import Counter
from functools import partial
from typing import Any

import polars as pl

from assets.stage import Context, Product, stage
from warehouse.file_facts import looking
from warehouse.home import digest
from warehouse.places import Listed, Place, RefusedError, Source
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_partition, run_shards
from warehouse.sources import corpus_source

FOLDS = 5


def _source(context: Context) -> Source:
    return corpus_source(context.home, context.partition, context.registry.corpora[context.partition])


def _listing(context: Context) -> list[Listed]:
    return _source(context).listing()


def _made_from(listed: Listed) -> list[Any]:
    return [printable(listed.uri), printable(listed.group), listed.size, listed.modified_ns]


def _files_settings(context: Context) -> object:
    return digest([_made_from(listed) for listed in _listing(context)])


@stage(
    group="corpus",
    tables=["files"],
    partitioned="corpora",
    external=["photographs"],
    settings=_files_settings,
)
def files(context: Context) -> Product:
    """Crawl a registered corpus: identity, format and size of each file; what is no photograph is quarantined."""
    name = context.partition
    listing = _listing(context)
    rows, refused = run_shards(
        context.store,
        context.compute,
        "files",
        cut_shards("files", listing, lambda item: _uri_hash(item.uri), _made_from, [context.version, name]),
        partial(crawl_files, _source(context), name),
        partition=name,
        progress=context.progress(f"crawl {name}"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    return Product(
        {"files": rows},
        {"photographs": len(listing) - quarantined, "quarantined": quarantined},
        {quarantine_partition("files", name): refused},
    )


def crawl_files(source: Source, corpus: str, items: tuple[Listed, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `files` for some files of a corpus, and those of them that are no photographs."""
    rows: Rows = []
    refused: list[Quarantined] = []
    with looking() as look:
        for item in items:
            row: dict[str, Any] = dict.fromkeys(("photo_id", "format", "width", "height", "source"))
            row |= {
                "corpus": corpus,
                "uri": printable(item.uri),
                "revision": 0,
                "etag": item.etag,
                "span": item.span,
                "modified_ns": item.modified_ns,
                "group": printable(item.group),
            }
            try:
                if row["uri"] != item.uri:
                    raise RefusedError("name_not_utf8", "the file's name is not valid UTF-8")
                facts = look(source.read(item.uri, item.span))
                row |= {"state": "photo", "photo_id": facts.sha256, "format": facts.format, "size_bytes": facts.size}
                row |= {"width": facts.width, "height": facts.height}
            except RefusedError as error:
                row |= {"state": "quarantined", "size_bytes": item.size}
                refused.append(Quarantined(corpus, row["uri"], error.reason, error.detail))
            rows.append(row)
    return rows, refused


def printable(name: str) -> str:
    """A name as a table can hold it: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _uri_hash(uri: str) -> str:
    return hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()


def _uses(context: Context) -> dict[str, list[str]]:
    return {name: sorted(corpus.use) for name, corpus in context.registry.corpora.items()}


@stage(group="corpus", tables=["photos"], upstream=[files], settings=lambda context: list(_uses(context).items()))
def photos(context: Context) -> Product:
    """One row for each photograph by content, whichever corpora hold it; the first registered names its place."""
    uses = _uses(context)
    for partition in set(context.store.partitions("files")) - set(uses):
        context.store.drop("files", partition)
        context.store.drop("quarantine", quarantine_partition("files", partition))
    order = {name: number for number, name in enumerate(uses)}
    found = context.store.read("files", list(uses)).filter(pl.col("state") == "photo")
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


@stage(group="corpus", tables=["splits"], upstream=[photos])
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
            new.append((corpus, -size, _uri_hash(group), group))
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
