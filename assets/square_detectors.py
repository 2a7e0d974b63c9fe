"""The detector in the box, made from this home: its parts fitted and calibrated on squares, and its file.

Features by square belong to `square_features.py`, densities and their sum to `models/`; what the detectors say of
benchmark images is asked for in `pixel_scores.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.backbone import backbone, untrained_backbone
from assets.corpus import CALIBRATION, UNSEEN_FOLDS
from assets.exif import exif, only_simulated
from assets.features import backbone_files
from assets.reconstruction import network_files, reconstruction
from assets.reconstruction_pairs import TABLE as PAIRS_TABLE
from assets.reconstruction_pairs import reconstruction_pairs
from assets.square_features import (
    CO_OCCURRENCES,
    CODING,
    HANDMADE,
    TABLE,
    TRAINED,
    UNTRAINED,
    handmade_features,
    square_features,
    square_kinds,
    square_networks,
)
from assets.square_logits import TABLE as LOGITS
from assets.square_logits import square_logits
from assets.stage import Context, Product, stage
from warehouse.champion import COMBINED
from warehouse.home import UserError, atomic_path
from warehouse.shards import Rows, frame

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.combined import CombinedDetector
    from models.parts import Part

    Floats = npt.NDArray[np.float64]

SQUARES = "squares"


@dataclass(frozen=True)
class Recipe:
    """How a part is made: on which column of the features by square."""

    features: str
    description: str


PARTS: Mapping[str, Recipe] = {
    "one_class": Recipe(TRAINED, "density of covariances of the trained backbone by square, given content"),
    "one_class_untrained": Recipe(UNTRAINED, "as one_class, on the same network with random weights"),
    "one_class_handmade": Recipe(HANDMADE, "as one_class, on predictors of pixels and spectra"),
    "one_class_co_occurrences": Recipe(CO_OCCURRENCES, "as one_class, on which residuals stand next to which"),
    "coding": Recipe(CODING, "as one_class, on what a network that predicts JPEG's coefficients had not expected"),
}
RECONSTRUCTION, RECONSTRUCTION_LINEAR = "reconstruction", "reconstruction_linear"
COMBINED_PARTS = (
    "one_class_handmade",
    "one_class_co_occurrences",
    "one_class_untrained",
    "coding",
    RECONSTRUCTION_LINEAR,
)
"""Parts that `combined` is made of (docs/results.md says why). Each other part has a file of its own."""

# Squares that a density is fitted on; more of them cost minutes and change little.
_FITTED_SQUARES = 12_000
_SEED = 42
_KEYS = ["photo_id", "view", "square"]


@dataclass(frozen=True)
class Scored:
    """A part, what it says of the squares that it has not seen, (n,), and what it is made from."""

    part: "Part"
    scores: "Floats"
    backbone: str | None
    description: str
    photographs: int


def _detector_files(context: Context) -> Iterator[Path]:
    for identity in context.store.read("detectors", [SQUARES], ["detector_id"])["detector_id"].unique().sort():
        yield context.home.detector_file(identity)


@stage(
    group="detection",
    tables=["detectors", "photo_scores"],
    upstream=[
        square_features,
        square_logits,
        reconstruction_pairs,
        exif,
        backbone,
        untrained_backbone,
        reconstruction,
    ],
    settings=lambda context: [context.registry.detection.model_dump(), COMBINED_PARTS],
    kinds=["scikitlearn", "torch"],
    files=_detector_files,
    table_partition=SQUARES,
)
def square_detectors(context: Context) -> Product:
    """Fit the parts of the detector in the box on folds 0-2 of the reference, calibrate them and it on fold 4."""
    squares = context.store.read(TABLE, columns=[*_KEYS, "corpus", "group", "fold"])
    photographs = squares.unique("photo_id").group_by("corpus").len().sort("corpus")
    facts = {
        "simulated_only": only_simulated(context, squares),
        "photographs": dict(photographs.iter_rows()),
        "sources": squares["group"].n_unique(),
        "code": version("sdaie"),
        "made_from": square_detectors.provenance(context)["inputs"],
    }
    rows: Rows = []
    judged: Rows = []
    try:
        _refuse_too_few(context, squares)
        unseen = _unseen(context, squares)
        fitting = _fitting(context, squares)
        linear, judged_makes = _linear(context, fitting, unseen)
        scored = [*_densities(context, fitting, unseen), linear, _reconstruction(context, unseen)]
        for together in _files(scored):
            detector = _calibrated(context, together, unseen, facts)
            identity = _save(context, detector)
            context.say(f"{identity}: {', '.join(each.part.name for each in together)}")
            rows += _detector_rows(detector, identity, together)
            judged += _photo_scores(detector, together, unseen.rows)
    except ValueError as error:
        said = f"the detectors on squares cannot be made: {error}; register more reference photographs"
        raise UserError(said) from None
    thresholds = {f"threshold_{row['detector']}": round(row["threshold"], 4) for row in rows}
    return Product(
        {"detectors": frame("detectors", rows), "photo_scores": frame("photo_scores", judged)},
        thresholds | judged_makes,
    )


def _refuse_too_few(context: Context, squares: pl.DataFrame) -> None:
    """Raises ValueError where too few photographs calibrate: before the fit, which takes minutes, and not after it."""
    from models import conformal

    rate = context.registry.detection.false_positive_rate
    # Several pictures of one photograph are no further photographs.
    photographs, needed = _calibrating(squares)["photo_id"].n_unique(), conformal.needed_scores(rate)
    if photographs < needed:
        raise conformal.TooFewCalibrationScoresError(rate, needed, photographs)


def _calibrating(squares: pl.DataFrame) -> pl.DataFrame:
    return squares.filter(pl.col("fold") == CALIBRATION)


@dataclass(frozen=True)
class Unseen:
    """Squares that no part is fitted on: rows with numbers, covariates (n, 33), logits (n, k) and blockiness (n,)."""

    rows: pl.DataFrame
    covariates: "Floats"
    logits: "Floats"
    blockiness: "Floats"


def _unseen(context: Context, squares: pl.DataFrame) -> Unseen:
    """The squares of folds 3 and 4. UserError where the networks were not asked of one of them."""
    rows = squares.filter(pl.col("fold").is_in(UNSEEN_FOLDS)).with_row_index("row")
    keyed = context.store.read(LOGITS, columns=[*_KEYS, "logits", "blockiness"])
    asked = rows.select(_KEYS).join(keyed, on=_KEYS, how="left", maintain_order="left")
    if asked["blockiness"].null_count():
        raise UserError("square_logits and square_features are not of the same squares: run `sdaie run --force`")
    logits = np.array(asked["logits"].to_list(), dtype=np.float64)
    return Unseen(rows, _matrix(context, rows, "covariates"), logits, asked["blockiness"].to_numpy())


@dataclass(frozen=True)
class Fitting:
    """Squares of views that parts are fitted on: rows, covariates (n, 33) and the group (n,) of each."""

    rows: pl.DataFrame
    covariates: "Floats"
    groups: "npt.NDArray[Any]"

    @property
    def photographs(self) -> int:
        """Of how many photographs they are."""
        return self.rows["photo_id"].n_unique()


def _fitting(context: Context, squares: pl.DataFrame) -> Fitting:
    """An even share of each source that is not held out."""
    from models.reference_squares import VIEWS
    from models.sampling import evenly

    views = squares.filter(~pl.col("fold").is_in(UNSEEN_FOLDS), pl.col("view").is_in(VIEWS))
    chosen = views[evenly(views["group"].to_numpy(), _FITTED_SQUARES, _SEED)]
    return Fitting(chosen, _matrix(context, chosen, "covariates"), chosen["group"].to_numpy())


def _densities(context: Context, fitting: Fitting, unseen: Unseen) -> list[Scored]:
    """The parts that are densities."""
    from models.density import GAUSSIANS, fit_density
    from models.parts import FeaturePart

    kinds = square_kinds(square_networks(context))
    backbones = dict(zip((TRAINED, UNTRAINED), backbone_files(context), strict=True))
    found = []
    for name, recipe in PARTS.items():
        context.say(f"fit {name} on {len(fitting.rows)} squares")
        features = _matrix(context, fitting.rows, recipe.features)
        density = fit_density(features, fitting.covariates, fitting.groups, GAUSSIANS, _SEED)
        scores = density.score(_matrix(context, unseen.rows, recipe.features), unseen.covariates)
        part = FeaturePart(name, kinds[recipe.features], density)
        found.append(Scored(part, scores, backbones.get(recipe.features), recipe.description, fitting.photographs))
    return found


def _linear(context: Context, fitting: Fitting, unseen: Unseen) -> tuple[Scored, dict[str, float]]:
    """The discriminant of photographs and their reconstructions, and its AUROC on each make that it has not seen."""
    from models.discriminant import Described, fit_discriminant, told
    from models.parts import FeaturePart

    pairs = context.store.read(PAIRS_TABLE)
    context.say(f"fit {RECONSTRUCTION_LINEAR} on {len(pairs)} pairs")

    def described(rows: pl.DataFrame, side: str) -> Described:
        columns = (f"{side}_{HANDMADE}", f"{side}_covariates")
        return Described(*(np.array(rows[column].to_list(), dtype=np.float64) for column in columns))

    learned = pairs.filter(~pl.col("held_out"))
    judge = fit_discriminant(
        Described(_matrix(context, fitting.rows, HANDMADE), fitting.covariates),
        fitting.groups,
        described(learned, "photograph"),
        described(learned, "rebuilt"),
        _SEED,
    )
    numbers = {}
    for (make,), rows in pairs.filter(pl.col("held_out")).group_by("make", maintain_order=True):
        auroc = told(judge, described(rows, "photograph"), described(rows, "rebuilt"))
        numbers[f"auroc_{RECONSTRUCTION_LINEAR}_{make}"] = round(auroc, 4)
    part = FeaturePart(RECONSTRUCTION_LINEAR, handmade_features(), judge)
    scores = judge.score(_matrix(context, unseen.rows, HANDMADE), unseen.covariates)
    description = "the direction in which reconstructions differ from their photographs, on predictors and spectra"
    return Scored(part, scores, None, description, learned["photo_id"].n_unique()), numbers


def _reconstruction(context: Context, unseen: Unseen) -> Scored:
    """The networks that tell reconstructions, normalised on fold 3, which judged them and trained none."""
    from models.reconstruction import fit_network_part
    from models.reconstruction_run import load_reconstruction

    logits = list(unseen.logits.T)
    normalising = unseen.rows["fold"] != CALIBRATION
    fitting = normalising.to_numpy()
    part = fit_network_part(
        RECONSTRUCTION,
        [load_reconstruction(file) for file in network_files(context)],
        [own[fitting] for own in logits],
        unseen.covariates[fitting],
        unseen.rows["group"].to_numpy()[fitting],
        _SEED,
    )
    photographs = unseen.rows.filter(normalising)["photo_id"].n_unique()
    description = "networks taught to tell photographs from their own reconstructions"
    return Scored(part, part.normalised(logits, unseen.covariates), None, description, photographs)


def _matrix(context: Context, wanted: pl.DataFrame, column: str) -> "Floats":
    """A column of vectors as (n, d), of the wanted squares in the order of the table."""
    keys = wanted.select(_KEYS)
    parts = [
        pl.read_parquet(path, columns=[*_KEYS, column]).join(keys, on=_KEYS, how="semi", maintain_order="left")
        for path in context.store.paths(TABLE)
    ]
    vectors = pl.concat([part[column] for part in parts])
    return vectors.explode().to_numpy().astype(np.float64).reshape(len(vectors), -1)


def _files(scored: Sequence[Scored]) -> list[list[Scored]]:
    """Which parts share a file: those of `combined`, and each other one by itself."""
    combined = [each for each in scored if each.part.name in COMBINED_PARTS]
    return [combined, *([each] for each in scored if each.part.name not in COMBINED_PARTS)]


def _calibrated(
    context: Context, together: Sequence[Scored], unseen: Unseen, facts: Mapping[str, Any]
) -> "CombinedDetector":
    """Calibrated on the photographs of fold 4, on each as it is: on its four central squares, or all of a smaller one.

    Of the calibrations tried on photographs - views, as they are by up to 16 squares, both - this one alone flagged 2
    to 8% of every kind of held-out photographs.
    """
    from models.abstention import Abstention
    from models.combined import calibrate_scores
    from models.tracks import AS_SHIPPED, TRACKS

    fold_4 = _calibrating(unseen.rows)
    photographs = fold_4["photo_id"].n_unique()
    as_they_are = fold_4.filter(pl.col("view").is_in(TRACKS)).sort("photo_id", pl.col("view") == AS_SHIPPED, "row")
    first = as_they_are.unique("photo_id", keep="first", maintain_order=True).select("photo_id", "view")
    judged = [rows for _, _, rows in _pictures(as_they_are.join(first, on=["photo_id", "view"], how="semi"))]
    pictures = [rows for _, _, rows in _pictures(fold_4)]
    abstention = Abstention.of(
        [unseen.covariates[rows] for rows in pictures], [unseen.blockiness[rows[0]] for rows in pictures]
    )
    return calibrate_scores(
        [each.part for each in together],
        {each.part.name: [each.scores[rows] for rows in judged] for each in together},
        name=f"{photographs} reference photographs that no part has seen",
        sources=fold_4["group"].n_unique(),
        fpr=context.registry.detection.false_positive_rate,
        facts=facts,
        abstention=abstention,
    )


def _pictures(squares: pl.DataFrame) -> Iterator[tuple[str, str, list[int]]]:
    """Each picture that was made of a photograph: identity of the photograph, view, and the rows of its squares."""
    yield from squares.group_by(["photo_id", "view"], maintain_order=True).agg("row").iter_rows()


def _save(context: Context, detector: "CombinedDetector") -> str:
    """Write the file of a detector, atomically; its identity."""
    identity = detector.identity
    with atomic_path(context.home.detector_file(identity)) as temporary:
        temporary.write_bytes(detector.to_bytes())
    return identity


def _names(together: Sequence[Scored]) -> list[str]:
    """What a file answers to: its parts, and what they are together."""
    parts = [each.part.name for each in together]
    return [*parts, COMBINED] if any(name in COMBINED_PARTS for name in parts) else parts


def _detector_rows(detector: "CombinedDetector", identity: str, together: Sequence[Scored]) -> Rows:
    """Rows of `detectors`: one calibration serves all tracks."""
    from models.tracks import TRACKS

    about = {each.part.name: each for each in together}
    parts = ", ".join(about)
    return [
        {
            "detector": name,
            "track": track,
            "detector_id": identity,
            "family": name,
            "detector_version": identity,
            "backbone": about[name].backbone if name in about else None,
            "seen": None,
            "description": about[name].description if name in about else f"the sum of what its parts say: {parts}",
            "n_fit": about[name].photographs if name in about else max(each.photographs for each in together),
            "n_calibration": len(detector.calibration.images[name]),
            "false_positive_rate": detector.fpr,
            "threshold": detector.threshold_of(name),
            "threshold_from": "calibration",
            "simulated_only": detector.facts["simulated_only"],
        }
        for name in _names(together)
        for track in TRACKS
    ]


def _photo_scores(detector: "CombinedDetector", together: Sequence[Scored], unseen: pl.DataFrame) -> Rows:
    """What a file says of photographs that no part has seen, on every track."""
    from models.tracks import TRACKS

    thresholds = {name: detector.threshold_of(name) for name in _names(together)}
    known = unseen.unique("photo_id", keep="first").select("photo_id", "corpus", "group", "fold")
    photographs = {row["photo_id"]: row for row in known.iter_rows(named=True)}
    return [
        photographs[photo_id]
        | {"detector": name, "track": track, "score": scores[name], "p_value": detector.p_value(name, scores[name])}
        | {"flagged": scores[name] > threshold}
        for photo_id, track, rows in _pictures(unseen.filter(pl.col("view").is_in(TRACKS)))
        for scores in [detector.image_scores({each.part.name: each.scores[rows] for each in together})]
        for name, threshold in thresholds.items()
    ]
