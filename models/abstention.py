"""When the detector in the box gives no verdict though there is a score: pictures unlike those it was calibrated on.

Here belong the four rules, their thresholds, which come from photographs alone, and the sentence each is told in. What
cannot be read at all is refused before any square is cut; that the verdict then is `cannot_tell` belongs to the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.squares import SIDE, Squares

Floats = npt.NDArray[np.float64]

MIN_SQUARES = 4
"""With room for fewer there is no verdict."""
RATE = 0.005
"""Share of calibration photographs that each fitted rule may set aside; there are four."""

# Of the squares, this share has to hold what a rule asks for: a quarter, so one of the four of a small picture.
_SHARE = 0.25
# Columns of the covariates (`content`): log mean of |SQ3| at scale 1, log shares of pixels clipped to black and white.
_ENERGY, _BLACK, _WHITE = 0, 31, 32
# Standardised covariates are cut here, so that one wild number does not decide alone.
_LARGEST = 6.0
_FOLDS = 5
# Half a rounding step of 8-bit pixels keeps logarithms finite.
_FLOOR = 0.5


@dataclass(frozen=True)
class Reason:
    """Why there is no verdict: a code for programs and a sentence for people."""

    code: str
    sentence: str


TOO_SMALL = Reason(
    "too_small",
    f"The picture is too small: it needs room for {MIN_SQUARES} squares of {SIDE} px, as 256 x 256 has.",
)
TOO_SMOOTH = Reason(
    "too_smooth", "Too little of the picture holds fine structure, which is what the detector looks at."
)
CLIPPED = Reason("clipped", "Most of the picture is clipped to black or white, where nothing of its making is left.")
TOO_COMPRESSED = Reason(
    "too_compressed", "The picture was compressed more strongly than any the detector was calibrated on."
)
UNFAMILIAR = Reason(
    "unfamiliar",
    "The picture is unlike the photographs that the detector was calibrated on, as screenshots and drawings often are.",
)


@dataclass(frozen=True, eq=False)
class Abstention:
    """What pictures have to be like to be judged.

    `smooth` is the least log energy of a square that holds fine structure, `clipped` the largest share of clipped
    pixels of one that is not clipped, `blocky` the most that squares may step at the edges of blocks of 8 x 8.
    `centre` (33,), `scale` (33,) and `whitening` (33, 33) standardise the medians of covariates over squares
    and take their distance from photographs; `far` is the largest that is judged. Medians, since the mean over a
    screenshot's full and empty squares is that of a photograph.
    """

    smooth: float
    clipped: float
    blocky: float
    far: float
    centre: Floats
    scale: Floats
    whitening: Floats

    @classmethod
    def fit(cls, photographs: Sequence[Squares]) -> Abstention:
        """Thresholds that each set aside at most the share `RATE` of photographs like these, given as their squares.

        ValueError for under 2 photographs, or one without squares.
        """
        if not all(map(len, photographs)):
            raise ValueError("abstention needs at least 2 photographs, all with squares")
        return cls.of([seen.covariates for seen in photographs], [blockiness(seen.pixels) for seen in photographs])

    @classmethod
    def of(cls, covariates: Sequence[Floats], blocky: Sequence[float]) -> Abstention:
        """As `fit`, from each photograph's covariates (n_i, 33) by square, and its blockiness.

        The distance of a photograph is taken from the others (in 5 folds), as that of a new picture is.
        """
        if len(covariates) < 2:
            raise ValueError("abstention needs at least 2 photographs")
        contents = np.array([np.median(own, axis=0) for own in covariates])
        folds = np.arange(len(contents)) % _FOLDS
        distances = np.empty(len(contents))
        for fold in range(min(_FOLDS, len(contents))):
            held_out = folds == fold
            distances[held_out] = _distances(contents[held_out], *_standard(contents[~held_out]))
        return cls(
            smooth=-_upper(-np.array([_richest(own) for own in covariates])),
            clipped=_upper(np.array([_least_clipped(own) for own in covariates])),
            blocky=_upper(np.array(blocky)),
            far=_upper(distances),
            **dict(zip(("centre", "scale", "whitening"), _standard(contents), strict=True)),
        )

    def reason(self, seen: Squares) -> Reason | None:
        """Why a picture, given as its squares, gets no verdict; None where it gets one. The first rule that says so."""
        if (small := too_small(seen)) is not None:
            return small
        if _least_clipped(seen.covariates) > self.clipped:
            return CLIPPED
        if _richest(seen.covariates) < self.smooth:
            return TOO_SMOOTH
        if blockiness(seen.pixels) > self.blocky:
            return TOO_COMPRESSED
        return UNFAMILIAR if self.distance(seen) > self.far else None

    def usable(self, seen: Squares) -> npt.NDArray[np.bool_]:
        """Which squares (n,) hold evidence: fine structure that is not clipped."""
        return (seen.covariates[:, _ENERGY] >= self.smooth) & (_clipped(seen.covariates) <= self.clipped)

    def distance(self, seen: Squares) -> float:
        """How far the medians of a picture's covariates are from those of photographs (Mahalanobis, in deviations)."""
        content = np.median(seen.covariates, axis=0, keepdims=True)
        return float(_distances(content, self.centre, self.scale, self.whitening)[0])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads."""
        limits = np.array([self.smooth, self.clipped, self.blocky, self.far])
        return {"limits": limits, "centre": self.centre, "scale": self.scale, "whitening": self.whitening}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Abstention:
        """From the arrays that `arrays` gave."""
        smooth, clipped, blocky, far = map(float, arrays["limits"])
        return cls(smooth, clipped, blocky, far, arrays["centre"], arrays["scale"], arrays["whitening"])


def too_small(seen: Squares) -> Reason | None:
    """The one reason that needs no thresholds."""
    return TOO_SMALL if len(seen) < MIN_SQUARES else None


def blockiness(pixels: npt.NDArray[np.uint8]) -> float:
    """How much larger steps of brightness are at the edges of the 8 x 8 grid than beside them: log ratio, median.

    Of squares (n, 128, 128, 3) on the grid. Strong JPEG compression leaves such edges, whatever the file is saved as
    later, unless it was resized or cut off the grid.
    """
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    ratios = []
    for planes in (luma, luma.transpose(0, 2, 1)):
        columns = np.abs(np.diff(planes, axis=2)).mean(axis=1)
        at_edges = np.arange(1, SIDE) % 8 == 0
        ratios.append((columns[:, at_edges].mean(axis=1) + _FLOOR) / (columns[:, ~at_edges].mean(axis=1) + _FLOOR))
    return float(np.median(np.log(ratios).mean(axis=0)))


def _richest(covariates: Floats) -> float:
    """The log energy that a quarter of the squares reach."""
    energies = np.sort(covariates[:, _ENERGY])[::-1]
    return float(energies[_needed(len(energies)) - 1])


def _least_clipped(covariates: Floats) -> float:
    """The share of clipped pixels that a quarter of the squares do not exceed."""
    return float(np.sort(_clipped(covariates))[_needed(len(covariates)) - 1])


def _clipped(covariates: Floats) -> Floats:
    return np.asarray(np.exp(covariates[:, _BLACK]) + np.exp(covariates[:, _WHITE]), dtype=np.float64)


def _needed(squares: int) -> int:
    return int(np.ceil(squares * _SHARE))


def _upper(values: Floats) -> float:
    """The value that at most `RATE` of others like these exceed, as a conformal threshold; the largest where few."""
    rank = min(int(np.ceil((1 - RATE) * (len(values) + 1))), len(values))
    return float(np.sort(values)[rank - 1])


def _standard(contents: Floats) -> tuple[Floats, Floats, Floats]:
    """Medians, robust deviations, and the whitening of the standardised rest by a shrunk covariance."""
    # Loaded here: it is fitting alone that needs scikit-learn, and an answer does not wait for it.
    from sklearn.covariance import ledoit_wolf

    centre = np.median(contents, axis=0)
    spread = 1.4826 * np.median(np.abs(contents - centre), axis=0)
    # A covariate that most photographs share exactly, such as no clipping, has no robust deviation.
    scale = np.maximum(spread, np.maximum(contents.std(axis=0), 1e-3) / 2)
    standard = np.clip((contents - centre) / scale, -_LARGEST, _LARGEST)
    covariance, _ = ledoit_wolf(standard, assume_centered=True)
    covariance += 1e-6 * np.eye(len(covariance))
    return centre, scale, np.linalg.inv(np.linalg.cholesky(covariance))


def _distances(contents: Floats, centre: Floats, scale: Floats, whitening: Floats) -> Floats:
    standard = np.clip((contents - centre) / scale, -_LARGEST, _LARGEST)
    return np.asarray(np.sqrt(np.square(standard @ whitening.T).sum(axis=1)))
