"""Detectors: features of the reference photographs, the detectors fitted on them, and which of them answers.

Mixtures, thresholds and p-values belong to `models/`; this module gives them features by fold and keeps the result.
Detectors that are not fitted on features belong to `other_detectors.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.backbone import backbone, untrained_backbone
from assets.corpus import photo_places, photos, reference_photographs, splits
from assets.exif import exif, simulated_ids
from assets.features import Condition, backbone_files, describe_pictures
from assets.stage import Context, Product, stage
from warehouse.home import UserError, canonical_json, write_text
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, cut_shards, frame, run_shards
from warehouse.sources import corpus_sources
from warehouse.store import WHOLE

if TYPE_CHECKING:
    from models.one_class import OneClassDetector, ReferenceFeatures

DETECTOR_FILE = "detector.json"


@dataclass(frozen=True)
class Recipe:
    """How a detector is made: on which column of the features, of the trained backbone or of the untrained one."""

    pooling: str
    trained: bool
    description: str


CHAMPION = "one_class"
DETECTORS: Mapping[str, Recipe] = {
    CHAMPION: Recipe("token_mean", True, "density of trained features, threshold from held-out photographs"),
    "one_class_published": Recipe("token0", True, "the published protocol: token 0, threshold from the fitting data"),
    "one_class_untrained": Recipe("token_mean", False, "as one_class, on the same network with random weights"),
    "complexity": Recipe("complexity", True, "mean absolute residual alone: how busy an image is"),
}


@stage(
    group="detection",
    tables=["reference_features"],
    upstream=[photos, splits, backbone, untrained_backbone],
    kinds=["parquet", "torch"],
)
def reference_features(context: Context) -> Product:
    """Features of every reference photograph on every track by the trained and the untrained backbone."""
    reference = reference_photographs(context)
    if reference.is_empty():
        raise UserError(
            "no reference photographs: register a corpus with `sdaie corpus add NAME SOURCE --use reference`"
        )
    groups = list(reference.select("group", "fold").iter_rows())
    items = list(zip(photo_places(reference), groups, strict=True))
    files = backbone_files(context)
    rows, refused = run_shards(
        context.store,
        context.single_process,
        "reference_features",
        cut_shards(
            "reference_features",
            items,
            lambda item: item[0].sha256,
            lambda item: [*item[0][:3], *item[1]],
            [context.version, *files],
        ),
        partial(describe_photographs, files, corpus_sources(context.home, context.registry)),
        progress=context.progress("features of the reference"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    numbers = {"photographs": len(items) - quarantined, "quarantined": quarantined}
    return Product({"reference_features": rows}, numbers, {"reference_features": refused})


def describe_photographs(
    files: dict[str, Path], sources: dict[str, Source], items: tuple[tuple[Place, tuple[str, int]], ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `reference_features` for some photographs, and those that cannot be judged on any track."""
    known = {place.sha256: (place, *group) for place, group in items}
    from models.perturbations import NONE
    from models.tracks import TRACKS

    wanted = [Condition(identity, track, NONE) for track in TRACKS for identity in files]
    described, refused = describe_pictures(files, sources, [place for place, _ in items], dict.fromkeys(known, wanted))
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


def covariate_matrix(rows: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Covariates (n, 33) of rows of features."""
    return np.stack(rows["covariates"].to_list()).astype(np.float64) if len(rows) else np.empty((0, 33))


def _detector_files(context: Context) -> Iterator[Path]:
    for identity in context.store.read("detectors", [WHOLE], ["detector_id"])["detector_id"].unique().sort():
        yield context.home.detectors / identity / DETECTOR_FILE


@stage(
    group="detection",
    tables=["detectors", "photo_scores"],
    upstream=[reference_features, exif, backbone, untrained_backbone],
    settings=lambda context: context.registry.detection.model_dump(),
    kinds=["scikitlearn"],
    files=_detector_files,
)
def detectors(context: Context) -> Product:
    """Fit on folds 0-2 of the reference, set thresholds on fold 4: ours, the published protocol, two companions."""
    features = context.store.read("reference_features").sort("photo_id", "track", "backbone")
    simulated = simulated_ids(context).implode()
    simulated_only = features.filter(~pl.col("photo_id").is_in(simulated)).is_empty()
    backbones = list(backbone_files(context))
    rows: Rows = []
    scores: Rows = []
    for name, recipe in DETECTORS.items():
        context.say(f"fit {name}")
        own = features.filter(pl.col("backbone") == backbones[0 if recipe.trained else 1])
        tracks = {str(track): part for (track,), part in own.group_by(["track"], maintain_order=True)}
        try:
            detector = _fit(
                name,
                None if recipe.pooling == "complexity" else backbones[0 if recipe.trained else 1],
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
    name: str, backbone: str | None, references: Mapping[str, "ReferenceFeatures"], rate: float, simulated_only: bool
) -> "OneClassDetector":
    from models.one_class import fit_complexity, fit_one_class, fit_one_class_published

    if backbone is None:
        return fit_complexity(name, references, fpr=rate, simulated_only=simulated_only)
    if DETECTORS[name].pooling == "token0":
        return fit_one_class_published(name, backbone, references, simulated_only=simulated_only)
    return fit_one_class(name, backbone, DETECTORS[name].pooling, references, fpr=rate, simulated_only=simulated_only)


def _reference(part: pl.DataFrame, pooling: str) -> "ReferenceFeatures":
    from models.one_class import ReferenceFeatures

    return ReferenceFeatures(
        feature_matrix(part, pooling), covariate_matrix(part), part["fold"].to_numpy(), part["group"].to_numpy()
    )


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
    judged = detector.judge(track, feature_matrix(unseen, detector.pooling), covariate_matrix(unseen))
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
    in_use = {None, *backbone_files(context)}
    found = {}
    for name in DETECTORS:
        detector = OneClassDetector.load(context.home.detectors / fitted[name])
        if detector.backbone not in in_use:
            raise UserError(f"{name} was fitted on another backbone ({detector.backbone}): run `sdaie run`")
        found[name] = fitted[name], detector
    return found


@stage(
    group="detection",
    tables=["champions"],
    upstream=[detectors],
    kinds=["json"],
    files=lambda context: [context.home.champion],
)
def champion(context: Context) -> Product:
    """Point `champion.json` at the detector that answers `sdaie detect`; replaced by rename."""
    table = context.store.read("detectors", [WHOLE], ["detector", "detector_id"])
    identity = table.filter(pl.col("detector") == CHAMPION)["detector_id"][0]
    row = {"detector": CHAMPION, "detector_id": identity}
    write_text(context.home.champion, canonical_json(row) + "\n")
    return Product({"champions": frame("champions", [row])})
