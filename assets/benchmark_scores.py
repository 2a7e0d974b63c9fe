"""What each detector of features or of pixels says of each benchmark image. One partition a set and generator.

What a detector says of features belongs to `models/one_class.py`, what one says of pixels to `pixel_scores.py`, how
scores are measured to `benchmark_metrics.py`. Tables of scores and the format rule need all images of a set together:
`score_tables.py`, `format_rule.py`.
"""

from collections.abc import Iterator

import polars as pl

from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.champion_before import BEFORE, champion_before
from assets.corpus import photos
from assets.detectors import detectors, feature_matrix, load_detectors
from assets.other_detectors import OTHERS, calibration_scores, judge, other_detectors
from assets.pixel_detectors import calibrations
from assets.pixel_scores import benchmark_pixel_scores
from assets.square_detectors import SQUARES, square_detectors
from assets.stage import Context, Product, stage
from warehouse.home import UserError
from warehouse.shards import frame


@stage(
    group="benchmark",
    tables=["benchmark_scores"],
    partitioned="benchmark",
    upstream=[
        *(photos, benchmark_images, benchmark_features, benchmark_pixel_scores),
        *(detectors, other_detectors, square_detectors, champion_before),
    ],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_scores(context: Context) -> Product:
    """What each detector says of each image, with its conformal p-value; no score has a reason."""
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri", "generator", "label"])
    _refuse_leakage(context, images)
    parts = [*_of_features(context, images), *_of_pixels(context, images)]
    scores = pl.concat([frame("benchmark_scores", []), *(_ordered(part) for part in parts)])
    return Product({"benchmark_scores": scores}, {"left_out": scores["score"].null_count()})


def _of_features(context: Context, images: pl.DataFrame) -> Iterator[pl.DataFrame]:
    from models.tracks import calibrated_as

    features = context.store.read("benchmark_features", [context.partition]).join(images, on="image_id")
    for name, (identity, detector) in load_detectors(context).items():
        for (track, _), rows in features.group_by(["track", "perturbation"], maintain_order=True):
            judged = rows.filter(pl.col("reason").is_null())
            said = detector.judge(calibrated_as(str(track)), feature_matrix(judged, detector.pooling))
            yield pl.concat(
                [
                    judged.with_columns(score=said.score, p_value=said.p_value, flagged=said.flagged),
                    rows.filter(pl.col("reason").is_not_null()),
                ],
                how="diagonal",
            ).with_columns(detector=pl.lit(name), detector_id=pl.lit(identity))


def _of_pixels(context: Context, images: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Thresholds and calibration are those of the track; nothing is calibrated anew for a perturbation."""
    from models.tracks import calibrated_as

    scores = context.store.read("pixel_scores", [context.partition]).join(images, on="image_id")
    calibrated_here = context.store.read("detectors", [OTHERS, SQUARES, BEFORE])
    known = {(row["detector"], row["track"]): row for row in calibrated_here.iter_rows(named=True)}
    on_squares = calibrations(context)
    keys = ["detector", "detector_version", "track"]
    for (name, version, track), rows in scores.group_by(keys, maintain_order=True):
        calibrated = known.get((name, calibrated_as(str(track))))
        if calibrated is None or calibrated["detector_version"] != version:
            raise UserError(f"{name} was calibrated in another version, or not at all: run `sdaie run`")
        judged = rows.filter(pl.col("score").is_not_null())
        calibration = on_squares.get(str(name))
        if calibration is None:
            calibration = calibration_scores(context, str(name), calibrated["track"])
        yield pl.concat(
            [
                judged.with_columns(judge(judged["score"].to_numpy(), calibration, calibrated["threshold"])),
                rows.filter(pl.col("score").is_null()),
            ],
            how="diagonal",
        ).with_columns(detector_id=pl.lit(calibrated["detector_id"]))


def _ordered(part: pl.DataFrame) -> pl.DataFrame:
    empty = frame("benchmark_scores", [])
    return part.select(empty.columns).cast(empty.schema)


def _refuse_leakage(context: Context, images: pl.DataFrame) -> None:
    """Raises UserError where an image to be judged is among the photographs that the detectors learned from."""
    known = context.store.read("photos", columns=["photo_id", "corpus", "uri"])
    leaked = images.join(known, left_on="image_id", right_on="photo_id", suffix="_photo").sort("uri")
    if len(leaked):
        pairs = leaked.head(3).select("uri", "corpus", "uri_photo").iter_rows()
        named = ", ".join(f"{uri} = {corpus}/{photo}" for uri, corpus, photo in pairs)
        raise UserError(
            f"{context.partition}: {len(leaked)} images are also in a registered corpus "
            f"({named}{', ...' if len(leaked) > 3 else ''}): "
            "take them out of the corpus or out of the set; what was learned from may not be scored"
        )
