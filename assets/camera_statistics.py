"""What cameras left in the photographs that have EXIF, as numbers that need no network.

The numbers belong to `models/camera_statistics.py`, what EXIF makes of them to `exif_claims.py`.
"""

import numpy as np
import polars as pl

from assets.backbone import pretext_targets
from assets.corpus import UNSEEN_FOLDS, photo_places, photos
from assets.photograph_shards import described_places
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows

TABLE = "camera_statistics"
# A linear regression learns nothing from more, nor does its calibration.
_MOST = 20_000
_SEED = 0


def _chosen(context: Context) -> pl.DataFrame:
    """Photographs with EXIF to learn from and to hold out: of each source as many, or all that it has."""
    from models.sampling import evenly

    targets = context.store.read("pretext_targets", columns=["photo_id", "group", "fold"]).sort("photo_id")
    unseen = pl.col("fold").is_in(UNSEEN_FOLDS)
    parts = [targets.filter(unseen), targets.filter(~unseen)]
    return pl.concat([part[evenly(part["group"].to_numpy(), _MOST, _SEED)] for part in parts])


@stage(group="training", tables=[TABLE], upstream=[photos, pretext_targets], kinds=["parquet"])
def camera_statistics(context: Context) -> Product:
    """Noise, neighbourhoods and spectrum of each photograph with EXIF, as shipped: what its tags are read from."""
    rows = context.store.read("photos").join(_chosen(context).select("photo_id"), on="photo_id", how="semi")
    said = "described photographs with EXIF"
    return described_places(context, context.compute, TABLE, photo_places(rows), describe_photographs, [], said)


def describe_photographs(
    sources: dict[str, Source], decoders: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `camera_statistics` for some photographs, and those whose pixels cannot be had or that are too small."""
    from models.camera_statistics import TooSmallError, statistics_squares
    from models.camera_statistics import camera_statistics as statistics_of
    from models.threads import one_thread

    rows: Rows = []
    refused: list[Quarantined] = []
    with one_thread():
        for place, image in decoded_pictures(sources, places, refused, decoders):
            try:
                squares = statistics_squares(image)
            except TooSmallError as error:
                refused.append(Quarantined(place.source, place.uri, "too_small", str(error), place.sha256))
                continue
            numbers = statistics_of(squares).astype(np.float32).tolist()
            rows.append({"photo_id": place.sha256, "squares": len(squares), "statistics": numbers})
    return rows, refused
