"""What a photograph's content explains of its features and of its score, learned from photographs alone.

Here belong the two cures for a likelihood that measures content instead of making: features are predicted from coarse
content and only what is left is judged (`Conditioning`), and scores are centred and scaled by what photographs of
held-out sources with such content score (`Normaliser`). The content's numbers are in `content`, densities in `mixture`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.content import COUNT, SIMPLE
from models.held_out import held_out_parts

Floats = npt.NDArray[np.float64]

# Standardised features and covariates are cut off here, in units of their deviation.
_FEATURE_CLIP, _COVARIATE_CLIP = 8.0, 3.0
# A column that varies by less than this share of its size is constant.
_CONSTANT = 1e-6
# The normaliser's penalty on log spread beside that on the mean, the share of the scores' deviation below which a rest
# says nothing of the spread, and the percentiles of the photographs between which mean and spread are believed.
_SPREAD_PENALTY, _SPREAD_FLOOR, _TAILS = 10.0, 0.02, (2.5, 97.5)


@dataclass(frozen=True)
class Terms:
    """Which terms of the covariates predict: the first `covariates` of them, to `degree` 1 or 2; ridge `penalty`."""

    covariates: int
    degree: int
    penalty: float


UNCONDITIONED = Terms(0, 1, 1.0)
CANDIDATES = (
    UNCONDITIONED,
    Terms(SIMPLE, 1, 10.0),
    Terms(SIMPLE, 2, 10.0),
    Terms(COUNT, 1, 10.0),
    Terms(COUNT, 2, 100.0),
    Terms(COUNT, 2, 300.0),
)
"""What is chosen from by held-out likelihood, the simplest first."""
NORMALISERS = (
    UNCONDITIONED,
    Terms(SIMPLE, 1, 1.0),
    Terms(SIMPLE, 1, 30.0),
    Terms(SIMPLE, 2, 1.0),
    Terms(SIMPLE, 2, 30.0),
    Terms(SIMPLE, 2, 300.0),
)
"""The same for the normaliser: few photographs cannot bear many terms."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Terms (n, T) of standardised, clipped covariates (n, 33); the first term is 1."""

    terms: Terms
    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, covariates: Floats, terms: Terms) -> Basis:
        """The basis that covariates (n, 33) of photographs standardise."""
        used = covariates[:, : terms.covariates]
        return cls(terms, *_standard(used))

    def __call__(self, covariates: Floats) -> Floats:
        """The terms of covariates (n, 33)."""
        used = (covariates[:, : self.terms.covariates] - self.mean) / self.scale
        used = np.clip(used, -_COVARIATE_CLIP, _COVARIATE_CLIP)
        columns = [np.ones((len(used), 1)), used]
        if self.terms.degree == 2:
            row, column = np.triu_indices(used.shape[1])
            columns.append(used[:, row] * used[:, column])
        return np.hstack(columns)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Features less what content predicts of them: `apply` gives the rest, in units of its own deviation."""

    basis: Basis
    mean: Floats
    scale: Floats
    weights: Floats
    rest: Floats

    @property
    def log_volume(self) -> float:
        """Log of the determinant of the map from features to rests at fixed content: makes densities comparable."""
        return float(-np.log(self.scale).sum() - np.log(self.rest).sum())

    def apply(self, features: Floats, covariates: Floats) -> Floats:
        """What is left (n, d) of features (n, d) of images with covariates (n, 33)."""
        standard = np.clip((features - self.mean) / self.scale, -_FEATURE_CLIP, _FEATURE_CLIP)
        return np.asarray((standard - self.basis(covariates) @ self.weights) / self.rest)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads."""
        return _basis_arrays(self.basis) | {
            "mean": self.mean,
            "scale": self.scale,
            "weights": self.weights,
            "rest": self.rest,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Conditioning:
        """From the arrays that `arrays` gave."""
        return cls(_basis_of(arrays), *(arrays[name] for name in ("mean", "scale", "weights", "rest")))


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Scores (n,) less what photographs with such content score, in units of how much those vary.

    Content as no photograph had, which may itself be the evidence, must not make an expectation as none had: what is
    expected, and the log of the spread, stay within bounds (2,) that the photographs set.
    """

    basis: Basis
    mean: Floats
    mean_bounds: Floats
    log_spread: Floats
    spread_bounds: Floats

    def apply(self, scores: Floats, covariates: Floats) -> Floats:
        """Normalised scores (n,) of images with covariates (n, 33)."""
        expected = np.clip(self.basis(covariates) @ self.mean, *self.mean_bounds)
        return np.asarray((scores - expected) / np.exp(self.log_spread_at(covariates)))

    def log_spread_at(self, covariates: Floats) -> Floats:
        """Log of the deviation (n,) that scores of such content have."""
        return np.clip(self.basis(covariates) @ self.log_spread, *self.spread_bounds)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads."""
        return _basis_arrays(self.basis) | {
            "mean": self.mean,
            "mean_bounds": self.mean_bounds,
            "log_spread": self.log_spread,
            "spread_bounds": self.spread_bounds,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Normaliser:
        """From the arrays that `arrays` gave."""
        names = ("mean", "mean_bounds", "log_spread", "spread_bounds")
        return cls(_basis_of(arrays), *(arrays[name] for name in names))


def fit_conditioning(features: Floats, covariates: Floats, terms: Terms) -> Conditioning:
    """Fit on photographs: features (n, d), covariates (n, 33). A feature that does not vary stays as it is."""
    mean, scale = _standard(features)
    basis = Basis.of(covariates, terms)
    standard = np.clip((features - mean) / scale, -_FEATURE_CLIP, _FEATURE_CLIP)
    known = basis(covariates)
    weights = _ridge(known, standard, terms.penalty)
    rest = (standard - known @ weights).std(axis=0)
    return Conditioning(basis, mean, scale, weights, np.where(rest > _CONSTANT, rest, 1.0))


def choose_normaliser(
    scores: Floats,
    covariates: Floats,
    groups: npt.NDArray[Any],
    seed: int,
    candidates: Sequence[Terms] = NORMALISERS,
) -> Terms:
    """The terms under which scores (n,) of held-out groups are likeliest, taken as normal; the first among equals."""
    totals = np.zeros(len(candidates))
    for fitting, held_out in held_out_parts(groups, seed):
        for number, terms in enumerate(candidates):
            normaliser = fit_normaliser(scores[fitting], covariates[fitting], terms)
            rests = normaliser.apply(scores[held_out], covariates[held_out])
            totals[number] -= (normaliser.log_spread_at(covariates[held_out]) + 0.5 * np.square(rests)).sum()
    return candidates[int(np.argmax(totals))]


def fit_normaliser(scores: Floats, covariates: Floats, terms: Terms) -> Normaliser:
    """Fit on scores (n,) of photographs by a density that had not seen their sources; covariates (n, 33).

    Normalised scores of these photographs have deviation 1 about their mean.
    """
    basis = Basis.of(covariates, terms)
    known = basis(covariates)
    mean = _ridge(known, scores, terms.penalty)
    mean_bounds = np.percentile(known @ mean, _TAILS)
    rest = scores - np.clip(known @ mean, *mean_bounds)
    log_rest = np.log(np.abs(rest) + max(_SPREAD_FLOOR * scores.std(), 1e-12))
    log_spread = _ridge(known, log_rest, _SPREAD_PENALTY * terms.penalty)
    spread_bounds = np.percentile(known @ log_spread, _TAILS)
    # The log of a deviation is not the mean of logs: what they differ by is the same everywhere.
    scale = np.log((rest / np.exp(np.clip(known @ log_spread, *spread_bounds))).std())
    log_spread[0] += scale
    return Normaliser(basis, mean, mean_bounds, log_spread, spread_bounds + scale)


def _standard(values: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of each column; 1 where a column holds rounding errors and nothing else."""
    mean, scale = values.mean(axis=0), values.std(axis=0)
    return mean, np.where(scale > _CONSTANT * np.abs(mean), scale, 1.0)


def _ridge(terms: Floats, wanted: Floats, penalty: float) -> Floats:
    """Least squares with a penalty on all weights but the constant's."""
    penalties = np.full(terms.shape[1], penalty)
    # Constant: no penalty, but enough that the system can be solved.
    penalties[0] = 1e-9
    return np.asarray(np.linalg.solve(terms.T @ terms + np.diag(penalties), terms.T @ wanted))


def _basis_arrays(basis: Basis) -> dict[str, npt.NDArray[Any]]:
    terms = np.array([basis.terms.covariates, basis.terms.degree, basis.terms.penalty])
    return {"terms": terms, "basis_mean": basis.mean, "basis_scale": basis.scale}


def _basis_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Basis:
    covariates, degree, penalty = arrays["terms"].tolist()
    return Basis(Terms(int(covariates), int(degree), penalty), arrays["basis_mean"], arrays["basis_scale"])
