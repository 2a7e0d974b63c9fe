"""A second opinion on EXIF: Pillow's own reader beside exiftool (`exif_pillow`), and where the two differ.

How Pillow is read and how two readings are compared belong to `warehouse/exif_pillow.py`, the rules to
`warehouse/exif_rules.py`. What is found here changes nothing: columns come from exiftool.
"""

from collections.abc import Mapping
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
from warehouse.shards import Quarantined, Rows, cut_shards, frame, run_shards
from warehouse.sources import corpus_sources, read_place


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
    settings = [context.version, exif.version, version("pillow")]
    shards, refused = run_shards(
        context.store,
        context.compute,
        "exif_pillow",
        cut_shards("exif_pillow", places, lambda place: place.sha256, lambda place: place.sha256, settings),
        partial(read_with_pillow, corpus_sources(context.home, context.registry)),
        progress=context.progress("second opinion on EXIF"),
        again=context.force,
    )
    folder = context.store.folder("exif_pillow")
    pillow = pl.concat([frame("exif_pillow", []), *(pl.read_parquet(folder / shard.file) for shard in shards)])
    counts, differing = agreement(context.store.read("exif", columns=["photo_id", *TAGS]), pillow)
    numbers = {
        "photographs": len(pillow),
        "not_read_by_pillow": len(pillow) - pillow["failure"].null_count(),
        "compared": int(counts["compared"].sum()),
        "agreed": int(counts["agreed"].sum()),
    }
    return Product(
        {"exif_agreement": counts, "exif_disagreements": differing, "exif_pillow": shards},
        numbers,
        {"exif_pillow": refused},
    )


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
