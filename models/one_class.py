"""The one-class detector on whole images as a value: fitted per track, judged with, stored, known by its content.

What belongs here: what ties a density of photographs (`mixture`), its calibration (`conformal`) and the provenance of
the features together, for the published protocol and the complexity-only companion. What does not: how features are
computed, which photographs are taken as the reference, and detectors on squares (`combined`).

Photographs of folds 0-2 fit, fold 4 calibrates and fold 3 is left alone (architecture.md). Scores are minus the
log-likelihood, or the complexity itself: higher = more likely generated.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models import conformal
from models.arrays import pack_arrays, unpack_arrays
from models.mixture import PUBLISHED, Mixture, fit_mixture

Floats = npt.NDArray[np.float64]

TOKEN_0 = "token0"
COMPLEXITY = "complexity"
POOLINGS = (TOKEN_0, COMPLEXITY)

FIT_FOLDS = (0, 1, 2)
CALIBRATION_FOLD = 4

PUBLISHED_FPR = 0.02
"""The published threshold is the sorted log-likelihood of the fitting data at int(0.02 n)."""

_FORMAT = 3


@dataclass(frozen=True, eq=False)
class ReferenceFeatures:
    """Photographs' features on one track, (n, d), with each row's fold and group, (n,)."""

    features: npt.NDArray[Any]
    folds: npt.NDArray[Any]
    groups: npt.NDArray[Any]

    def __post_init__(self) -> None:
        if self.features.ndim != 2:
            raise ValueError(f"features are an array (n, d), not {self.features.shape}")
        lengths = [len(part) for part in (self.features, self.folds, self.groups)]
        if len(set(lengths)) > 1:
            raise ValueError("{} rows of features, {} folds and {} groups".format(*lengths))


class Judgement(NamedTuple):
    """Scores, conformal p-values and flags (True = taken for generated) of images, each (n,)."""

    score: Floats
    p_value: Floats
    flagged: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrackFit:
    """What a detector knows of one track.

    `density` is None for the complexity detector. A score above `threshold` is flagged; `fpr` is the rate it was chosen
    for. `calibration_scores` are sorted, `calibration` names where they come from and `threshold_from` is 'calibration'
    or, in the published protocol, 'fitting_data'.
    """

    density: Mixture | None
    threshold: float
    fpr: float
    calibration_scores: Floats
    calibration: str
    threshold_from: str


@dataclass(frozen=True, eq=False)
class OneClassDetector:
    """A detector fitted on photographs alone.

    `backbone` is the id of the backbone whose features it takes, None for complexity; `pooling` how one vector
    an image is had from them: 'token0' or 'complexity'. `simulated_only` says that no real
    photograph was in the reference, so that its verdicts are a demonstration.
    """

    name: str
    backbone: str | None
    pooling: str
    tracks: Mapping[str, TrackFit]
    simulated_only: bool

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not {self.pooling!r}")
        if not self.tracks:
            raise ValueError("a detector has at least one track")

    def score(self, track: str, features: npt.ArrayLike) -> Floats:
        """Score features (n, d) of images on a track: (n,), higher = more likely generated.

        Raises `ValueError` for a track the detector was not fitted on and for features of another width.
        """
        return _score(self._fit(track).density, features)

    def judge(self, track: str, features: npt.ArrayLike) -> Judgement:
        """Score features and compare with the track's calibration and threshold; takes and raises as `score`."""
        fit = self._fit(track)
        # No image at all has no width.
        scores = _score(fit.density, features) if len(np.asarray(features)) else np.empty(0)
        return Judgement(scores, conformal.p_value(scores, fit.calibration_scores), scores > fit.threshold)

    def digest(self) -> str:
        """Identify the detector by its content: SHA-256 in hexadecimal, the same before and after storage."""
        return hashlib.sha256(self._files()["detector.json"]).hexdigest()

    def save(self, folder: Path) -> None:
        """Write `detector.json` and one `.npz` a track into a folder, the same bytes for the same detector.

        Each file is replaced by rename and `detector.json`, which holds the others' digests, comes last.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._files().items():
            temporary = folder / f".{name}.{os.getpid()}"
            temporary.write_bytes(content)
            temporary.replace(folder / name)

    @classmethod
    def load(cls, folder: Path) -> "OneClassDetector":
        """Read what `save` wrote; raises `ValueError` when a file was changed or is of another format."""
        description = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
        if description["format"] != _FORMAT:
            raise ValueError(f"detector format {description['format']} is not {_FORMAT}: {folder}")
        tracks = {}
        for track, facts in description["tracks"].items():
            content = (folder / f"{track}.npz").read_bytes()
            if hashlib.sha256(content).hexdigest() != facts["sha256"]:
                raise ValueError(f"{track}.npz is not the file that {folder / 'detector.json'} describes")
            tracks[track] = _unpack_track(content, facts)
        return cls(
            name=description["name"],
            backbone=description["backbone"],
            pooling=description["pooling"],
            tracks=tracks,
            simulated_only=description["simulated_only"],
        )

    def _fit(self, track: str) -> TrackFit:
        if track not in self.tracks:
            raise ValueError(f"{self.name} was not fitted on track {track!r}, only on {', '.join(self.tracks)}")
        return self.tracks[track]

    def _files(self) -> dict[str, bytes]:
        files = {f"{track}.npz": _pack_track(fit) for track, fit in self.tracks.items()}
        facts = {
            track: {
                "sha256": hashlib.sha256(files[f"{track}.npz"]).hexdigest(),
                "threshold": fit.threshold,
                "fpr": fit.fpr,
                "calibration": fit.calibration,
                "calibration_count": len(fit.calibration_scores),
                "threshold_from": fit.threshold_from,
            }
            for track, fit in self.tracks.items()
        }
        description = {
            "format": _FORMAT,
            "name": self.name,
            "backbone": self.backbone,
            "pooling": self.pooling,
            "simulated_only": self.simulated_only,
            "tracks": facts,
        }
        files["detector.json"] = (json.dumps(description, indent=2, sort_keys=True) + "\n").encode()
        return files


def fit_complexity(
    name: str,
    references: Mapping[str, ReferenceFeatures],
    *,
    fpr: float = 0.05,
    simulated_only: bool = False,
) -> OneClassDetector:
    """Calibrate the detector that sees complexity only, features (n, 1); `references` holds photographs by track.

    Nothing is fitted: the score is the complexity itself (`models.complexity`), and fold 4 gives the threshold that
    flags at most the share `fpr` of such photographs. Raises `ValueError` when folds 0-2 or fold 4 are empty, so that
    it stands beside the others only where they can, or a group is in both, and
    `conformal.TooFewCalibrationScoresError` when fold 4 is too small for the rate.
    """
    tracks = {}
    for track, reference in references.items():
        _, calibrating = _parts(track, reference)
        scores = np.sort(_score(None, calibrating.features))
        tracks[track] = TrackFit(
            density=None,
            threshold=conformal.threshold(scores, fpr),
            fpr=fpr,
            calibration_scores=scores,
            calibration=f"fold {CALIBRATION_FOLD}",
            threshold_from="calibration",
        )
    return OneClassDetector(name, None, COMPLEXITY, tracks, simulated_only)


def fit_one_class_published(
    name: str,
    backbone: str,
    references: Mapping[str, ReferenceFeatures],
    *,
    simulated_only: bool = False,
) -> OneClassDetector:
    """Fit the published protocol: 5 full components on token 0 of all patches, threshold at int(0.02 n).

    The threshold comes from the fitting data (folds 0-2), as published. The p-values, of which the published
    protocol knows nothing, rank among fold 4's scores, so the two need not agree: how far they do not is what
    that protocol's false-positive rate is off. Raises `ValueError` as `fit_complexity`.
    """
    tracks = {}
    for track, reference in references.items():
        fitting, calibrating = _parts(track, reference)
        mixture = fit_mixture(fitting.features, PUBLISHED)
        log_likelihoods = np.sort(mixture.log_likelihood(fitting.features))
        tracks[track] = TrackFit(
            density=mixture,
            threshold=-float(log_likelihoods[int(PUBLISHED_FPR * len(log_likelihoods))]),
            fpr=PUBLISHED_FPR,
            calibration_scores=np.sort(_score(mixture, calibrating.features)),
            calibration=f"fold {CALIBRATION_FOLD}",
            threshold_from="fitting_data",
        )
    return OneClassDetector(name, backbone, TOKEN_0, tracks, simulated_only)


def _parts(track: str, reference: ReferenceFeatures) -> tuple[ReferenceFeatures, ReferenceFeatures]:
    fitting = _rows(reference, np.isin(reference.folds, FIT_FOLDS))
    calibrating = _rows(reference, np.asarray(reference.folds) == CALIBRATION_FOLD)
    if len(fitting.features) == 0:
        raise ValueError(f"track {track}: no photograph in folds 0-2 to fit on")
    if len(calibrating.features) == 0:
        raise ValueError(f"track {track}: no photograph in fold {CALIBRATION_FOLD} to calibrate on")
    shared = np.intersect1d(fitting.groups, calibrating.groups)
    if shared.size:
        raise ValueError(f"track {track}: group {shared[0]!r} both fits and calibrates")
    return fitting, calibrating


def _rows(reference: ReferenceFeatures, mask: npt.NDArray[np.bool_]) -> ReferenceFeatures:
    return ReferenceFeatures(reference.features[mask], reference.folds[mask], reference.groups[mask])


def _score(density: Mixture | None, features: npt.ArrayLike) -> Floats:
    values = np.asarray(features, dtype=np.float64)
    if density is not None:
        return -density.log_likelihood(values)
    if values.ndim != 2 or values.shape[1] != 1 or not np.isfinite(values).all():
        raise ValueError(f"complexity is one finite number an image, an array (n, 1), not {values.shape}")
    return values[:, 0]


def _pack_track(fit: TrackFit) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {"calibration_scores": fit.calibration_scores}
    if fit.density is not None:
        arrays["mixture"] = np.frombuffer(fit.density.to_bytes(), dtype=np.uint8)
    return pack_arrays(arrays)


def _unpack_track(content: bytes, facts: Mapping[str, Any]) -> TrackFit:
    arrays = unpack_arrays(content)
    return TrackFit(
        density=Mixture.from_bytes(arrays["mixture"].tobytes()) if "mixture" in arrays else None,
        threshold=facts["threshold"],
        fpr=facts["fpr"],
        calibration_scores=arrays["calibration_scores"],
        calibration=facts["calibration"],
        threshold_from=facts["threshold_from"],
    )
