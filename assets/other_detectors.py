"""The rows of `detectors` for those without fitted parts: detectors of pixels, tables of scores, the format rule.

They are calibrated here and judged in `benchmark_scores.py`, `table_scores.py` and `format_rule.py`; their scores come
from `pixel_scores.py`. Detectors that are fitted on features belong to `detectors.py`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.binary import binary_networks
from assets.corpus import photos, splits
from assets.exif import exif, simulated_ids
from assets.pixel_detectors import FORMAT_RULE, PixelDetector, class_detectors, own_threshold, pixel_detectors
from assets.pixel_scores import REFERENCE, reference_pixel_scores
from assets.score_tables import ScoreTable, score_tables
from assets.stage import Context, Product, stage
from warehouse.home import digest
from warehouse.shards import Rows, frame

if TYPE_CHECKING:
    import numpy.typing as npt

OTHERS = "others"
CALIBRATION, OWN = "calibration", "detector"


def _settings(context: Context) -> object:
    home = context.home.path
    return {
        "detection": context.registry.detection.model_dump(),
        "classes": [
            [each.name, each.version, each.place, own_threshold(each.name, each.load(home))]
            for each in class_detectors(context)
        ],
        "tables": [[table.name, table.sha256] for table in score_tables(context)],
    }


@stage(
    group="detection",
    tables=["detectors", "photo_scores"],
    upstream=[photos, splits, exif, binary_networks, reference_pixel_scores],
    settings=_settings,
    kinds=["parquet", "torch"],
    table_partition=OTHERS,
)
def other_detectors(context: Context) -> Product:
    """Calibrate the detectors that need no fit on fold 4 of the reference, and list those that cannot be calibrated."""
    known = (
        context.store.read("photos", columns=["photo_id", "group"])
        .join(context.store.read("splits", columns=["group", "fold"]), on="group")
        .with_columns(simulated=pl.col("photo_id").is_in(simulated_ids(context).implode()))
    )
    scores = (
        context.store.read("pixel_scores", [REFERENCE])
        .filter(pl.col("score").is_not_null())
        .rename({"image_id": "photo_id", "dataset": "corpus"})
        .join(known, on="photo_id")
        .sort("detector", "track", "photo_id")
    )
    rows: Rows = []
    photo_scores: Rows = []
    for detector in pixel_detectors(context):
        own, judged = _calibrated(context, detector, scores.filter(pl.col("detector") == detector.name))
        rows += own
        photo_scores += judged
    rows += [row for table in score_tables(context) for row in _table_rows(table)]
    rows.append(_format_rule_row())
    numbers = {
        f"threshold_{row['detector']}_{row['track']}": round(row["threshold"], 4)
        for row in rows
        if row["threshold"] is not None
    }
    return Product(
        {"detectors": frame("detectors", rows), "photo_scores": frame("photo_scores", photo_scores)}, numbers
    )


def _calibrated(context: Context, detector: PixelDetector, scores: pl.DataFrame) -> tuple[Rows, Rows]:
    """Rows of `detectors` and of `photo_scores`, by track."""
    from models.tracks import TRACKS

    rate = context.registry.detection.false_positive_rate
    own = own_threshold(detector.name, detector.load(context.home.path))
    by_track = {track: scores.filter(pl.col("track") == track) for track in TRACKS}
    calibration = {track: _of_fold_4(part) for track, part in by_track.items()}
    threshold = {track: own if own is not None else _threshold(c, rate) for track, c in calibration.items()}
    identity = digest(
        [detector.name, detector.version, {t: [threshold[t], c.tolist()] for t, c in calibration.items()}]
    )
    rows: Rows = []
    photo_scores: Rows = []
    for track, part in by_track.items():
        if threshold[track] is None:
            context.say(f"{detector.name}: too few photographs in fold 4 have a score for a threshold on {track}")
        origin = OWN if own is not None else CALIBRATION if threshold[track] is not None else None
        rows.append(
            _row(detector.name, track, identity, detector.description)
            | {
                "family": detector.family,
                "detector_version": detector.version,
                "backbone": detector.backbone,
                "seen": detector.seen,
                "n_calibration": len(calibration[track]),
                "false_positive_rate": rate if origin == CALIBRATION else None,
                "threshold": threshold[track],
                "threshold_from": origin,
                "simulated_only": len(part) > 0 and bool(part["simulated"].all()),
            }
        )
        judged = judge(part["score"].to_numpy(), calibration[track], threshold[track])
        known = part.select("detector", "track", "photo_id", "corpus", "group", "fold", "score")
        photo_scores += known.with_columns(judged).to_dicts()
    return rows, photo_scores


def calibration_scores(context: Context, detector: str, track: str) -> "npt.NDArray[np.float64]":
    """Scores (n,) of the photographs that a detector without fitted parts is calibrated on, sorted."""
    scores = context.store.read("photo_scores", [OTHERS])
    return _of_fold_4(scores.filter(pl.col("detector") == detector, pl.col("track") == track))


def judge(
    scores: "npt.NDArray[np.float64]", calibration: "npt.NDArray[np.float64]", threshold: float | None
) -> list[pl.Series]:
    """Columns `p_value` and `flagged` of scores (n,): null without calibration scores, and without a threshold."""
    from models.conformal import p_value

    nothing = [None] * len(scores)
    return [
        pl.Series("p_value", p_value(scores, calibration) if len(calibration) else nothing, dtype=pl.Float64),
        pl.Series("flagged", nothing if threshold is None else scores > threshold, dtype=pl.Boolean),
    ]


def _of_fold_4(scores: pl.DataFrame) -> "npt.NDArray[np.float64]":
    from models.one_class import CALIBRATION_FOLD

    return np.sort(scores.filter(pl.col("fold") == CALIBRATION_FOLD)["score"].to_numpy())


def _threshold(calibration: "npt.NDArray[np.float64]", rate: float) -> float | None:
    from models.conformal import needed_scores, threshold

    return threshold(calibration, rate) if len(calibration) >= needed_scores(rate) else None


def _table_rows(table: ScoreTable) -> Rows:
    return [_row(table.name, track, table.identity, f"scores of {table.file}") for track in _tracks(table.tracks)]


def _tracks(tracks: Sequence[str]) -> list[str]:
    from models.tracks import calibrated_as

    return sorted({calibrated_as(track) for track in tracks})


def _format_rule_row() -> dict[str, Any]:
    from models.format_rule import VERSION
    from models.tracks import AS_SHIPPED

    row = _row(
        FORMAT_RULE,
        AS_SHIPPED,
        format_rule_identity(),
        "cross-fitted on the set itself: file type, size and JPEG quality; how far the files alone give it away",
    )
    return row | {"detector_version": VERSION}


def format_rule_identity() -> str:
    """Identity of the format rule, which has no fitted parts of its own."""
    from models.format_rule import VERSION

    return digest([FORMAT_RULE, VERSION])


def _row(name: str, track: str, identity: str, description: str) -> dict[str, Any]:
    """A row of `detectors` of what is neither fitted nor calibrated."""
    return {
        "detector": name,
        "track": track,
        "detector_id": identity,
        "family": name,
        "detector_version": None,
        "backbone": None,
        "seen": None,
        "description": description,
        "n_fit": 0,
        "n_calibration": None,
        "false_positive_rate": None,
        "threshold": None,
        "threshold_from": None,
        "simulated_only": False,
    }
