"""What the heads of the trained backbone say of photographs that it has not learned from.

What their answers are worth is measured in `exif_claims.py`.
"""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from assets.backbone import backbone, imported_identity, pretext_targets
from assets.camera_statistics import camera_statistics
from assets.corpus import UNSEEN_FOLDS, photo_places, photos
from assets.features import loaded_backbone, trained_backbone
from assets.photograph_shards import described_places
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows

TABLE = "pretext_outputs"


def _asked(context: Context) -> pl.DataFrame:
    """The held-out ones of the photographs in `camera_statistics`; none where heads have no names."""
    described = context.store.read("camera_statistics", columns=["photo_id"])
    targets = context.store.read("pretext_targets", columns=["photo_id", "fold"])
    held_out = described.join(targets.filter(pl.col("fold").is_in(UNSEEN_FOLDS)), on="photo_id", how="semi")
    return held_out.clear() if imported_identity(context) else held_out


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, pretext_targets, camera_statistics, backbone],
    kinds=["parquet", "torch"],
)
def pretext_outputs(context: Context) -> Product:
    """What the heads of the trained backbone say of photographs with EXIF that were held out, as shipped.

    They are those that `camera_statistics` describes. Heads of an imported backbone have no names and are not asked.
    """
    rows = context.store.read("photos").join(_asked(context), on="photo_id", how="semi")
    _, weights = trained_backbone(context)
    ask, made_from = partial(ask_heads, weights), [weights.parent.name]
    said = "asked the heads of held-out photographs"
    return described_places(context, context.compute.networks(), TABLE, photo_places(rows), ask, made_from, said)


def ask_heads(
    weights: Path, sources: dict[str, Source], decoders: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `pretext_outputs` for some photographs that have room for squares, and those without pixels."""
    from models.camera_statistics import statistics_squares
    from models.tag_readers import HeadsReader
    from models.threads import one_thread

    refused: list[Quarantined] = []
    pictures = decoded_pictures(sources, places, refused, decoders)
    known = [(place.sha256, statistics_squares(image)) for place, image in pictures]
    if not known:
        return [], refused
    with one_thread():
        outputs = HeadsReader.of(loaded_backbone(weights))([squares for _, squares in known])
    rows = [
        {"photo_id": photo_id, "backbone": weights.parent.name, "squares": len(squares), "outputs": said.tolist()}
        for (photo_id, squares), said in zip(known, outputs.astype(np.float32), strict=True)
    ]
    return rows, refused
