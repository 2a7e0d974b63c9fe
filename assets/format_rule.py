"""How far the files of a set alone give it away: the format rule, cross-fitted on each set with both of its classes.

What the rule sees and learns belongs to `models/format_rule.py`. It is a stage of its own because it needs photographs
and generated images of a set together.
"""

from typing import Any

import numpy as np
import polars as pl

from assets.benchmark_images import benchmark_images
from assets.conditions import evaluated_images, evaluated_sets
from assets.other_detectors import format_rule_identity
from assets.pixel_detectors import FORMAT_RULE
from assets.pixel_scores import NO_SCORE
from assets.stage import Context, Product, stage
from warehouse.shards import Rows, frame

_FACTS = ("image_id", "format", "width", "height", "size_bytes", "jpeg_quality", "chroma_subsampling")


@stage(
    group="benchmark",
    tables=["benchmark_scores"],
    upstream=[benchmark_images],
    settings=lambda context: {name: context.registry.datasets[name].wild for name in evaluated_sets(context)},
    kinds=["parquet", "scikitlearn"],
    table_partition=FORMAT_RULE,
)
def format_rule(context: Context) -> Product:
    """What trees say of each image that see file type, size and JPEG quality alone and learned on the other parts."""
    images = evaluated_images(context)
    rows: Rows = []
    for (dataset,), part in images.group_by(["dataset"], maintain_order=True):
        context.say(f"files of {dataset}")
        rows += _rows(part, str(dataset), context.registry.datasets[str(dataset)].wild)
    table = frame("benchmark_scores", rows)
    return Product({"benchmark_scores": table}, {"left_out": table["score"].null_count()})


def _rows(images: pl.DataFrame, dataset: str, wild: bool) -> Rows:
    from models.detector import FileFacts
    from models.format_rule import class_balance, format_log_odds
    from models.perturbations import NONE
    from models.tracks import tracks_of

    labels = images["label"].to_numpy()
    log_odds = format_log_odds([FileFacts(*row) for row in images.select(_FACTS).iter_rows()], labels)
    balance = class_balance(labels)
    common: dict[str, Any] = {
        "detector": FORMAT_RULE,
        "dataset": dataset,
        "track": tracks_of(wild)[0],
        "perturbation": NONE,
        "detector_id": format_rule_identity(),
        "p_value": None,
    }
    return [
        common
        | {
            "image_id": image_id,
            "generator": generator,
            "label": label,
            "score": None if np.isnan(score) else float(score),
            "flagged": None if np.isnan(score) else bool(score > balance),
            "reason": NO_SCORE if np.isnan(score) else None,
        }
        for (image_id, generator, label), score in zip(
            images.select("image_id", "generator", "label").iter_rows(), log_odds, strict=True
        )
    ]
