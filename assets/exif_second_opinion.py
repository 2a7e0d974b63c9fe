"""A second opinion on EXIF: Pillow's own reader beside exiftool (`exif_pillow`), and where the two differ.

How Pillow is read and how two readings are compared belong to `warehouse/exif_pillow.py`, the rules to
`warehouse/exif_rules.py`. What is found here changes nothing: columns come from exiftool.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import polars as pl

from assets.corpus import photo_places, photos
from assets.exif import exif
from assets.stage import Context, Product, stage
from warehouse.exif_pillow import TAGS, PillowError, PillowReader, agreement
from warehouse.exif_privacy import ingested
from warehouse.exif_rules import normalise
from warehouse.places import Place, RefusedError, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped, with_known
from warehouse.shards import Quarantined, Rows, cut_shards, frame, run_shards
from warehouse.sources import corpus_sources, read_place
from warehouse.store import WHOLE, Shard

_AT_ONCE = 8
"""Shards whose rows are compared at once."""


@stage(
    group="exif",
    tables=["exif_agreement", "exif_disagreements", "exif_pillow"],
    upstream=[photos, exif],
    settings=lambda context: version("pillow"),
    kinds=["parquet", "pillow"],
)
def exif_second_opinion(context: Context) -> Product:
    """Read EXIF with Pillow as well, by the same rules: how often it agrees with exiftool by tag, and where not."""
    places = photo_places(context.store.read("photos"))
    made_by = [context.version, exif.version, version("pillow")]
    work = cut_shards("exif_pillow", places, lambda place: place.sha256, lambda place: place.sha256, made_by)
    earlier = earlier_shards(context.store, "exif_pillow", WHOLE, "photo_id", made_by, context.force)
    shards, refused = run_shards(
        context.store,
        context.compute,
        "exif_pillow",
        stamped(work, made_by),
        partial(read_missing, corpus_sources(context.home, context.registry), earlier),
        progress=context.progress("second opinion on EXIF"),
        again=context.force,
    )
    counts, differing, failed = _compared(context, shards)
    numbers = {
        "photographs": sum(shard.rows for shard in shards),
        "not_read_by_pillow": failed,
        "compared": int(counts["compared"].sum()),
        "agreed": int(counts["agreed"].sum()),
    }
    return Product(
        {"exif_agreement": counts, "exif_disagreements": differing, "exif_pillow": shards},
        numbers,
        {"exif_pillow": refused},
    )


def _compared(context: Context, shards: Sequence[Shard]) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Rows of `exif_agreement` and of `exif_disagreements`, and how many Pillow could not read; in parts."""
    exiftool = pl.scan_parquet(context.store.paths("exif")).select("photo_id", *TAGS)
    counts, differing = agreement(frame("exif", []).select("photo_id", *TAGS), frame("exif_pillow", []))
    found, failed = [differing], 0
    for start in range(0, len(shards), _AT_ONCE):
        files = [context.store.folder("exif_pillow") / shard.file for shard in shards[start : start + _AT_ONCE]]
        pillow = pl.read_parquet(files)
        first, last = (pl.lit(end, pl.String) for end in (pillow["photo_id"].min(), pillow["photo_id"].max()))
        further, differing = agreement(exiftool.filter(pl.col("photo_id").is_between(first, last)).collect(), pillow)
        counts = counts.with_columns(counts[name] + further[name] for name in counts.columns if name != "tag")
        found.append(differing)
        failed += len(pillow) - pillow["failure"].null_count()
    return counts, pl.concat(found), failed


def read_missing(
    sources: Mapping[str, Source], earlier: EarlierShards, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_pillow` for some photographs; what Pillow has read before is not read again."""
    return with_known(earlier, places, partial(read_with_pillow, sources), pl.col("failure").is_null())


def read_with_pillow(sources: Mapping[str, Source], places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_pillow` for some photographs. Nothing is quarantined: that Pillow fails is part of its opinion."""
    rows: Rows = []
    with PillowReader() as pillow:
        for place in places:
            row: dict[str, Any] = {"photo_id": place.sha256, **dict.fromkeys(TAGS), "failure": None}
            try:
                path = sources[place.source].local_path(place.uri, place.span)
                found = normalise(ingested(pillow.tags(read_place(sources, place) if path is None else path))).row
                row |= {tag: found[tag] for tag in TAGS}
            except (RefusedError, PillowError) as error:
                row["failure"] = str(error)
            rows.append(row)
    return rows, []
