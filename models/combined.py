"""The detector in the box: what several parts say of an image's squares, as one score and one p-value.

Here belong the sum of the parts over squares, calibration on photographs that no part has seen, and the file. What a
part looks at belongs to `parts`, where squares are taken to `squares`, what cannot be judged to `abstention`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from models import conformal
from models.abstention import Abstention, Reason, too_small
from models.arrays import within
from models.described_arrays import pack, unpack
from models.parts import Part, part_of, scores_by_part
from models.squares import COUNT, Squares, squares

Floats = npt.NDArray[np.float64]

_FORMAT = 1

# Squares of calibration photographs that are kept for p-values of regions.
_REGIONS = 4096


@dataclass(frozen=True)
class Spread:
    """How scores of photographs' squares vary: their mean, between photographs, and within one (variances)."""

    mean: float
    between: float
    within: float

    @classmethod
    def of(cls, scores: Sequence[Floats]) -> Spread:
        """From the scores (n_i,) of each photograph's squares, by the analysis of variance. ValueError for under 2."""
        if len(scores) < 2:
            raise ValueError("a spread needs at least 2 photographs")
        counts = np.array([len(part) for part in scores], dtype=np.float64)
        means = np.array([part.mean() for part in scores])
        rests = np.concatenate([part - part.mean() for part in scores])
        within = float(np.square(rests).sum() / max(1.0, counts.sum() - len(counts)))
        between = max(float(means.var(ddof=1) - within * (1 / counts).mean()), 1e-6)
        return cls(float(means.mean()), between, within)

    def score(self, scores: Floats) -> float:
        """Score of an image from those of its squares (n,): in deviations that a mean over n squares has."""
        return float((scores.mean() - self.mean) / np.sqrt(self.between + self.within / len(scores)))


@dataclass(frozen=True, eq=False)
class Calibration:
    """What photographs that no part has seen score.

    By part, and under `combined`: sorted scores of photographs; `regions`: sorted scores of single squares. `name` says
    where the photographs come from, `sources` how many those are.
    """

    name: str
    sources: int
    images: Mapping[str, Floats]
    regions: Floats


@dataclass(frozen=True, eq=False)
class Examination:
    """What the detector says of one image: higher scores = less like a photograph.

    `score` and `p_value` (conformal) of the image, `parts` the p-value and `part_scores` the score of each part alone.
    `places` (n, 2) are top and left of the squares judged, `square_scores` (n,) theirs.
    """

    score: float
    p_value: float
    parts: Mapping[str, float]
    part_scores: Mapping[str, float]
    places: npt.NDArray[np.int64]
    square_scores: Floats


COMBINED = "combined"


@dataclass(frozen=True, eq=False)
class CombinedDetector:
    """Parts, how their scores vary on photographs, and a calibration. `facts` is a JSON object: what it was made from.

    An image whose p-value is at most `fpr` is taken for generated. `abstention` says which images get no verdict; None
    where every image gets one.
    """

    parts: Sequence[Part]
    spreads: Mapping[str, Spread]
    calibration: Calibration
    fpr: float
    facts: Mapping[str, Any]
    abstention: Abstention | None = None

    def examine(self, image: npt.NDArray[np.uint8], count: int = COUNT) -> Examination:
        """Examine an image (H, W, 3) by at most `count` squares. ValueError where it has room for none."""
        return self.examine_squares(squares(image, count))

    def examine_squares(self, seen: Squares) -> Examination:
        """Examine the squares of one image. ValueError where there is none."""
        if not len(seen):
            raise ValueError("an image without squares cannot be examined")
        return self.judge(scores_by_part(self.parts, seen), seen.places)

    def judge(self, by_part: Mapping[str, Floats], places: npt.NDArray[np.int64]) -> Examination:
        """Judge an image by what each part said of its squares: scores (n,) each, for squares at `places` (n, 2)."""
        images = self.image_scores(by_part)
        score = images.pop(COMBINED)
        p_values = {name: self.p_value(name, part_score) for name, part_score in images.items()}
        regions = square_scores(by_part, self.spreads)
        return Examination(score, self.p_value(COMBINED, score), p_values, images, places, regions)

    def image_scores(self, by_part: Mapping[str, Floats]) -> dict[str, float]:
        """Scores of one image by part and under `combined`, from what each part says of its squares (n,)."""
        images = {part.name: self.spreads[part.name].score(by_part[part.name]) for part in self.parts}
        p_values = {name: self.p_value(name, score) for name, score in images.items()}
        return images | {COMBINED: combine(p_values, len(self.calibration.images[COMBINED]))}

    def reason(self, seen: Squares) -> Reason | None:
        """Why an image, given as its squares, gets no verdict; None where it gets one."""
        return self.abstention.reason(seen) if self.abstention else too_small(seen)

    def usable(self, seen: Squares) -> npt.NDArray[np.bool_]:
        """Which squares (n,) hold evidence."""
        return self.abstention.usable(seen) if self.abstention else np.ones(len(seen), dtype=np.bool_)

    def region_p_values(self, square_scores: Floats) -> Floats:
        """Conformal p-values (n,) of single squares among those of calibration photographs, not corrected."""
        return conformal.p_value(square_scores, self.calibration.regions)

    @property
    def calibrated_on(self) -> int:
        """How many photographs a p-value is a rank among."""
        return len(self.calibration.images[COMBINED])

    def p_value(self, name: str, score: float) -> float:
        """Conformal p-value of an image's score by a part, or under `combined`."""
        return float(conformal.p_value(score, self.calibration.images[name]))

    def threshold_of(self, name: str) -> float:
        """The score above which the p-value of a part, or under `combined`, is at most `fpr`."""
        return conformal.threshold(self.calibration.images[name], self.fpr)

    @property
    def identity(self) -> str:
        """SHA-256 of the file's content, its first 16 digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """The detector as a safetensors file, the same bytes for the same detector."""
        arrays: dict[str, npt.NDArray[Any]] = {"calibration.regions": self.calibration.regions}
        arrays |= {f"calibration.images.{name}": scores for name, scores in self.calibration.images.items()}
        if self.abstention is not None:
            arrays |= {f"abstention.{name}": array for name, array in self.abstention.arrays().items()}
        parts = []
        for number, part in enumerate(self.parts):
            facts, own = part.stored()
            parts.append(facts)
            arrays |= {f"parts.{number}.{name}": array for name, array in own.items()}
        content = {
            "format": _FORMAT,
            "parts": parts,
            "spreads": {name: asdict(spread) for name, spread in self.spreads.items()},
            "calibration": {"name": self.calibration.name, "sources": self.calibration.sources},
            "fpr": self.fpr,
            "facts": dict(self.facts),
        }
        return pack(arrays, content)

    @classmethod
    def from_bytes(cls, content: bytes) -> CombinedDetector:
        """Read what `to_bytes` wrote; ValueError where it is no such file."""
        try:
            facts, arrays = unpack(content)
        except ValueError as error:
            raise ValueError(f"no file of a detector: {error}") from None
        if facts.get("format") != _FORMAT:
            raise ValueError(f"format {facts.get('format')} of a detector's file, not {_FORMAT}")
        images = within(arrays, "calibration.images.")
        abstention = within(arrays, "abstention.")
        return cls(
            parts=[part_of(part, within(arrays, f"parts.{number}.")) for number, part in enumerate(facts["parts"])],
            spreads={name: Spread(**spread) for name, spread in facts["spreads"].items()},
            calibration=Calibration(**facts["calibration"], images=images, regions=arrays["calibration.regions"]),
            fpr=facts["fpr"],
            facts=facts["facts"],
            abstention=Abstention.of_arrays(abstention) if abstention else None,
        )


def calibrate(
    parts: Sequence[Part],
    photographs: Sequence[Squares],
    *,
    name: str,
    sources: int,
    fpr: float = 0.05,
    facts: Mapping[str, Any] | None = None,
) -> CombinedDetector:
    """The detector of these parts, calibrated on photographs whose sources no part has seen, given as their squares.

    They also say which pictures get no verdict. TooFewCalibrationScoresError where no p-value could be as small as
    `fpr`.
    """
    said = [scores_by_part(parts, seen) for seen in photographs]
    scores = {part.name: [one[part.name] for one in said] for part in parts}
    abstention = Abstention.fit(photographs)
    return calibrate_scores(parts, scores, name=name, sources=sources, fpr=fpr, facts=facts, abstention=abstention)


def calibrate_scores(
    parts: Sequence[Part],
    scores: Mapping[str, Sequence[Floats]],
    *,
    name: str,
    sources: int,
    fpr: float = 0.05,
    facts: Mapping[str, Any] | None = None,
    abstention: Abstention | None = None,
) -> CombinedDetector:
    """As `calibrate`, from what each part, by name, says of the squares (n_i,) of every photograph, in one order."""
    photographs = len(scores[parts[0].name])
    needed = conformal.needed_scores(fpr)
    if photographs < needed:
        raise conformal.TooFewCalibrationScoresError(fpr, needed, photographs)
    spreads, calibration = calibration_of(scores, name=name, sources=sources)
    return CombinedDetector(parts, spreads, calibration, fpr, facts or {}, abstention)


def calibration_of(
    scores: Mapping[str, Sequence[Floats]], *, name: str, sources: int
) -> tuple[dict[str, Spread], Calibration]:
    """Spreads and calibration from the scores (n_i,) of each photograph's squares by part, in the same order for all.

    A calibration photograph's own p-value is its rank among the others: 1 + how many of these score as much, over the
    number of all. Ranked among all, itself too, it would come out larger than that of a new photograph of the same
    scores, and of 99 photographs and four parts 6% would be flagged instead of 5%. ValueError for under 2 photographs.
    """
    spreads = {part: Spread.of(found) for part, found in scores.items()}
    images = {part: np.array([spreads[part].score(one) for one in found]) for part, found in scores.items()}
    count = len(next(iter(images.values())))
    # `p_value` counts the photograph itself, and a new one beside.
    p_values = {part: (conformal.p_value(found, found) * (count + 1) - 1) / count for part, found in images.items()}
    rows = range(count)
    combined = [combine({part: float(p_values[part][row]) for part in p_values}, count) for row in rows]
    by_row = [square_scores({part: found[row] for part, found in scores.items()}, spreads) for row in rows]
    regions = np.concatenate(by_row)
    thinned = np.sort(regions)[:: 1 + len(regions) // _REGIONS]
    sorted_scores = {part: np.sort(found) for part, found in images.items()} | {COMBINED: np.sort(combined)}
    return spreads, Calibration(name, sources, sorted_scores, thinned)


def combine(p_values: Mapping[str, float], calibrated_on: int) -> float:
    """One score from p-values of parts: the sum of their normal deviates over the root of their number (Stouffer).

    A p-value of 1 among so many calibration scores counts as half a rank less, or it would outweigh all others.
    """
    values = np.minimum(np.fromiter(p_values.values(), dtype=np.float64), 1 - 0.5 / (1 + calibrated_on))
    return float(-ndtri(values).sum() / np.sqrt(len(values)))


def square_scores(by_part: Mapping[str, Floats], spreads: Mapping[str, Spread]) -> Floats:
    """Scores (n,) of single squares: the parts' mean, each in deviations that a single square has."""
    rest = [
        (scores - spreads[name].mean) / np.sqrt(spreads[name].between + spreads[name].within)
        for name, scores in by_part.items()
    ]
    return np.asarray(np.mean(rest, axis=0))
