"""From photographs to training crops: decode once, cut losslessly at seeded places, into shards.

Where crops are cut belongs to `models/cutting.py`, how they are streamed to `models/crops.py`.
"""

from functools import partial

import polars as pl

from assets.corpus import photo_places, photos
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped, with_known
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources
from warehouse.store import WHOLE


@stage(
    group="training",
    tables=["crops"],
    upstream=[photos],
    settings=lambda context: {"crops": context.registry.training.crops, "seed": context.registry.training.seed},
    kinds=["parquet", "pillow"],
)
def crops(context: Context) -> Product:
    """Cut crops of 256 x 256 stored pixels from every training photograph; what cannot be cut is quarantined."""
    training = context.registry.training
    places = photo_places(context.store.read("photos").filter(pl.col("use").str.contains("train")))
    made_by = [context.version, training.crops, training.seed]
    work = cut_shards("crops", places, lambda place: place.sha256, lambda place: place.sha256, made_by)
    earlier = earlier_shards(context.store, "crops", WHOLE, "photo_id", made_by, context.force)
    sources = corpus_sources(context.home, context.registry)
    rows, refused = run_shards(
        context.store,
        context.compute,
        "crops",
        stamped(work, made_by),
        partial(cut_missing, sources, earlier, training.crops, training.seed),
        progress=context.progress("cut crops"),
        again=context.force,
    )
    return Product(
        {"crops": rows},
        {"photographs": len(places), "quarantined": sum(shard.rows for shard in refused)},
        {"crops": refused},
    )


def cut_missing(
    sources: dict[str, Source], earlier: EarlierShards, count: int, seed: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `crops` for some photographs; those that were cut before are not cut again."""
    return with_known(earlier, places, lambda missing: cut_photographs(sources, count, seed, missing))


def cut_photographs(
    sources: dict[str, Source], count: int, seed: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `crops` for some photographs, and those whose pixels cannot be had or are too few."""
    from models.cutting import SIDE, cut_crops

    rows: Rows = []
    refused: list[Quarantined] = []
    for place, image in decoded_pictures(sources, places, refused):
        photo_id, corpus, uri = place[:3]
        found = cut_crops(image, count, seed ^ int(photo_id[:15], 16))
        if not found:
            size = f"{image.shape[1]} x {image.shape[0]} px; crops need {SIDE} on each side"
            refused.append(Quarantined(corpus, uri, "too_small", size, photo_id))
        rows += [
            {"photo_id": photo_id, "crop": number, "x": crop.x, "y": crop.y, "png": crop.png}
            for number, crop in enumerate(found)
        ]
    return rows, refused
