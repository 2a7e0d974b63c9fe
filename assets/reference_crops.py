"""One larger crop of each reference photograph: what autoencoders and the networks that tell their work learn from.

Where crops are cut belongs to `models/cutting.py`, which views are drawn of them to `models/view_batches.py`.
"""

from collections.abc import Mapping
from functools import partial

from assets.corpus import photo_places, photos, reference_photographs, splits
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources

Item = tuple[Place, tuple[str, int]]


@stage(
    group="training",
    tables=["reference_crops"],
    upstream=[photos, splits],
    settings=lambda context: {"seed": context.registry.reconstruction.seed},
    kinds=["parquet", "pillow"],
)
def reference_crops(context: Context) -> Product:
    """Cut a crop of at most 512 x 512 stored pixels from every reference photograph; what cannot be is quarantined."""
    reference = reference_photographs(context)
    items = list(zip(photo_places(reference), reference.select("group", "fold").iter_rows(), strict=True))
    seed = context.registry.reconstruction.seed
    rows, refused = run_shards(
        context.store,
        context.compute,
        "reference_crops",
        cut_shards(
            "reference_crops",
            items,
            lambda item: item[0].sha256,
            lambda item: [item[0].sha256, *item[1]],
            [context.version, seed],
        ),
        partial(cut_photographs, corpus_sources(context.home, context.registry), seed),
        progress=context.progress("cut crops of the reference"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    return Product(
        {"reference_crops": rows},
        {"photographs": len(items) - quarantined, "quarantined": quarantined},
        {"reference_crops": refused},
    )


def cut_photographs(
    sources: Mapping[str, Source], seed: int, items: tuple[Item, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `reference_crops` for some photographs, and those whose pixels cannot be had or are too few."""
    from models.cutting import cut_crops
    from models.view_batches import CROP_SIDE, LEAST_SIDE

    rows: Rows = []
    refused: list[Quarantined] = []
    group_of = {place.sha256: group for place, group in items}
    for place, image in decoded_pictures(sources, [place for place, _ in items], refused):
        photo_id, corpus, uri = place[:3]
        group, fold = group_of[photo_id]
        found = cut_crops(image, 1, seed ^ int(photo_id[:15], 16), LEAST_SIDE, CROP_SIDE)
        if not found:
            size = f"{image.shape[1]} x {image.shape[0]} px; views need {LEAST_SIDE} on each side"
            refused.append(Quarantined(corpus, uri, "too_small", size, photo_id))
        rows += [
            {"photo_id": photo_id, "group": group, "fold": fold, "x": crop.x, "y": crop.y, "png": crop.png}
            for crop in found
        ]
    return rows, refused
