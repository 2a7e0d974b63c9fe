"""What each detector says of each benchmark image. One partition a set and generator.

What a detector says of features belongs to `models/one_class.py`, how scores are measured to `benchmark_metrics.py`.
"""

import polars as pl

from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.corpus import photos
from assets.detectors import DETECTORS, covariate_matrix, detectors, feature_matrix, load_detectors
from assets.features import backbone_files
from assets.stage import Context, Product, stage
from warehouse.home import UserError
from warehouse.shards import frame


@stage(
    group="benchmark",
    tables=["benchmark_scores"],
    partitioned="benchmark",
    upstream=[photos, benchmark_images, benchmark_features, detectors],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_scores(context: Context) -> Product:
    """What each detector says of each image, with its conformal p-value; no score has a reason."""
    from models.tracks import calibrated_as

    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri", "generator", "label"])
    _refuse_leakage(context, images)
    features = context.store.read("benchmark_features", [context.partition]).join(images, on="image_id")
    parts = []
    for name, (identity, detector) in load_detectors(context).items():
        own = _of_backbone(context, features, name)
        for (track, _), rows in own.group_by(["track", "perturbation"], maintain_order=True):
            judged = rows.filter(pl.col("reason").is_null())
            score, p_value, flagged = detector.judge(
                calibrated_as(str(track)), feature_matrix(judged, detector.pooling), covariate_matrix(judged)
            )
            said = pl.DataFrame(
                {"image_id": judged["image_id"], "score": score, "p_value": p_value, "flagged": flagged}
            )
            parts.append(
                rows.select("dataset", "image_id", "track", "perturbation", "generator", "label", "reason")
                .join(said, on="image_id", how="left")
                .with_columns(detector=pl.lit(name), detector_id=pl.lit(identity))
            )
    scores = pl.concat([frame("benchmark_scores", []), *(_ordered(part) for part in parts)])
    return Product({"benchmark_scores": scores}, {"left_out": scores["score"].null_count()})


def _of_backbone(context: Context, features: pl.DataFrame, detector: str) -> pl.DataFrame:
    identity = list(backbone_files(context))[0 if DETECTORS[detector].trained else 1]
    return features.filter(pl.col("backbone") == identity)


def _ordered(part: pl.DataFrame) -> pl.DataFrame:
    empty = frame("benchmark_scores", [])
    return part.select(empty.columns).cast(empty.schema)


def _refuse_leakage(context: Context, images: pl.DataFrame) -> None:
    """Raises UserError where an image to be judged is among the photographs that the detectors learned from."""
    leaked = images.join(context.store.read("photos", columns=["photo_id"]), left_on="image_id", right_on="photo_id")
    if len(leaked):
        named = ", ".join(leaked["uri"].head(3))
        raise UserError(
            f"{context.partition}: {len(leaked)} images are also in a registered corpus ({named}, ...): "
            "take them out of the corpus or out of the set; what was learned from may not be scored"
        )
