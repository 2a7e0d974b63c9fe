"""Companions on features of whole photographs: those features, and the published protocol and complexity on them.

Mixtures, thresholds and p-values belong to `models/`; this module gives them features by fold and keeps the result.
Detectors on squares belong to `square_detectors.py`, those that are not fitted to `other_detectors.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.backbone import backbone
from assets.corpus import photos, reference_photographs, splits
from assets.exif import exif, only_simulated
from assets.features import Condition, describe_pictures, trained_backbone
from assets.photograph_shards import Item, described_photographs
from assets.stage import Context, Product, stage
from warehouse.home import UserError
from warehouse.places import Source
from warehouse.shards import Quarantined, Rows, frame
from warehouse.store import WHOLE

if TYPE_CHECKING:
    from models.one_class import OneClassDetector, ReferenceFeatures

DETECTOR_FILE = "detector.json"


@dataclass(frozen=True)
class Recipe:
    """How a detector is made: on which column of the features."""

    pooling: str
    description: str


DETECTORS: Mapping[str, Recipe] = {
    "one_class_published": Recipe("token0", "the published protocol: token 0, threshold from the fitting data"),
    "complexity": Recipe("complexity", "mean absolute residual alone: how busy an image is"),
}


@stage(
    group="detection",
    tables=["reference_features"],
    upstream=[photos, splits, backbone],
    kinds=["parquet", "torch"],
    version=2,
)
def reference_features(context: Context) -> Product:
    """Token 0 by the trained backbone and complexity of every reference photograph on every track."""
    reference = reference_photographs(context)
    if reference.is_empty():
        raise UserError(
            "no reference photographs: register a corpus with `sdaie corpus add NAME SOURCE --use reference`"
        )
    identity, weights = trained_backbone(context)
    describe = partial(describe_photographs, identity, weights)
    return described_photographs(context, "reference_features", reference, describe, [identity], "features")


def describe_photographs(
    backbone: str,
    weights: Path,
    sources: dict[str, Source],
    decoders: int,
    items: tuple[Item, ...],
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `reference_features` for some photographs, and those that cannot be judged on any track."""
    known = {place.sha256: (place, *group) for place, group in items}
    from models.perturbations import NONE
    from models.tracks import TRACKS

    wanted = [Condition(track, NONE) for track in TRACKS]
    pictures = [place for place, _ in items]
    described, refused = describe_pictures(backbone, weights, sources, pictures, dict.fromkeys(known, wanted), decoders)
    rows: Rows = []
    reasons: dict[str, str] = {}
    for row in described:
        photo_id, reason, _ = row.pop("sha256"), row.pop("reason"), row.pop("perturbation")
        place, group, fold = known[photo_id]
        if reason is None:
            rows.append({"photo_id": photo_id, "corpus": place.source, "group": group, "fold": fold, **row})
        else:
            reasons[photo_id] = reason
    for photo_id in sorted(set(reasons) - {row["photo_id"] for row in rows}):
        place = known[photo_id][0]
        refused.append(
            Quarantined(place.source, place.uri, reasons[photo_id], "cannot be judged on any track", photo_id)
        )
    return rows, refused


def feature_matrix(rows: pl.DataFrame, pooling: str) -> npt.NDArray[np.float64]:
    """Features (n, D) of rows, as a detector of this pooling takes them; (n, 1) for complexity."""
    if rows.is_empty():
        return np.empty((0, 1))
    if pooling == "complexity":
        return rows["complexity"].to_numpy()[:, None].astype(np.float64)
    return np.stack(rows[pooling].to_list()).astype(np.float64)


def _detector_files(context: Context) -> Iterator[Path]:
    for identity in context.store.read("detectors", [WHOLE], ["detector_id"])["detector_id"].unique().sort():
        yield context.home.detectors / identity / DETECTOR_FILE


@stage(
    group="detection",
    tables=["detectors", "photo_scores"],
    upstream=[reference_features, exif, backbone],
    version=2,
    settings=lambda context: context.registry.detection.model_dump(),
    kinds=["scikitlearn"],
    files=_detector_files,
)
def detectors(context: Context) -> Product:
    """The published protocol, fitted on folds 0-2 of the reference, and complexity, calibrated on fold 4."""
    features = context.store.read("reference_features").sort("photo_id", "track")
    simulated_only = only_simulated(context, features)
    backbone, _ = trained_backbone(context)
    tracks = {str(track): part for (track,), part in features.group_by(["track"], maintain_order=True)}
    rows: Rows = []
    scores: Rows = []
    for name, recipe in DETECTORS.items():
        context.say(f"fit {name}")
        try:
            detector = _fit(
                name,
                backbone,
                {track: _reference(part, recipe.pooling) for track, part in tracks.items()},
                context.registry.detection.false_positive_rate,
                simulated_only,
            )
        except ValueError as error:
            raise UserError(f"{name} cannot be fitted: {error}; register more reference photographs") from None
        identity = detector.digest()[:16]
        detector.save(context.home.detectors / identity)
        for track, part in tracks.items():
            rows.append(_detector_row(name, recipe, identity, detector, track, part))
            scores += _photo_scores(name, detector, track, part)
    table = frame("detectors", rows)
    numbers = {f"threshold_{r['detector']}_{r['track']}": round(r["threshold"], 4) for r in rows}
    return Product({"detectors": table, "photo_scores": frame("photo_scores", scores)}, numbers)


def _fit(
    name: str, backbone: str, references: Mapping[str, "ReferenceFeatures"], rate: float, simulated_only: bool
) -> "OneClassDetector":
    from models.one_class import fit_complexity, fit_one_class_published

    if DETECTORS[name].pooling == "complexity":
        return fit_complexity(name, references, fpr=rate, simulated_only=simulated_only)
    return fit_one_class_published(name, backbone, references, simulated_only=simulated_only)


def _reference(part: pl.DataFrame, pooling: str) -> "ReferenceFeatures":
    from models.one_class import ReferenceFeatures

    return ReferenceFeatures(feature_matrix(part, pooling), part["fold"].to_numpy(), part["group"].to_numpy())


def _detector_row(
    name: str, recipe: Recipe, identity: str, detector: "OneClassDetector", track: str, part: pl.DataFrame
) -> dict[str, Any]:
    fit = detector.tracks[track]
    return {
        "detector": name,
        "track": track,
        "detector_id": identity,
        "family": name,
        "detector_version": None,
        "backbone": detector.backbone,
        "seen": None,
        "description": recipe.description,
        "n_fit": len(part.filter(pl.col("fold") < 3)),
        "n_calibration": len(fit.calibration_scores),
        "false_positive_rate": fit.fpr,
        "threshold": fit.threshold,
        "threshold_from": fit.threshold_from,
        "simulated_only": detector.simulated_only,
    }


def _photo_scores(name: str, detector: "OneClassDetector", track: str, part: pl.DataFrame) -> Rows:
    """Scores of photographs that the fit has not seen."""
    unseen = part.filter(pl.col("fold") >= 3)
    if unseen.is_empty():
        return []
    judged = detector.judge(track, feature_matrix(unseen, detector.pooling))
    said = {"score": judged.score, "p_value": judged.p_value, "flagged": judged.flagged}
    known = unseen.select("photo_id", "corpus", "group", "fold")
    return (
        known.with_columns(detector=pl.lit(name), track=pl.lit(track), **{k: pl.Series(v) for k, v in said.items()})
    ).to_dicts()


def load_detectors(context: Context) -> dict[str, tuple[str, "OneClassDetector"]]:
    """Identity and fitted detector by name, in the order of `DETECTORS`.

    Raises UserError where a detector was fitted on features of another backbone than the one in use.
    """
    from models.one_class import OneClassDetector

    fitted = dict(context.store.read("detectors", [WHOLE], ["detector", "detector_id"]).unique().iter_rows())
    in_use = {None, trained_backbone(context)[0]}
    found = {}
    for name in DETECTORS:
        detector = OneClassDetector.load(context.home.detectors / fitted[name])
        if detector.backbone not in in_use:
            raise UserError(f"{name} was fitted on another backbone ({detector.backbone}): run `sdaie run`")
        found[name] = fitted[name], detector
    return found
