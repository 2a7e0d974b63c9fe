"""The direction in which reconstructions differ from the photographs they were made from, given content.

Here belongs Fisher's linear discriminant on features by square: fitted on pairs, read as a score, stored. Which
features those are belongs to `square_features`, how reconstructions are made to `pseudo_fakes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.arrays import within
from models.conditioning import Conditioning, Normaliser, Terms, choose_normaliser, fit_conditioning, fit_normaliser
from models.content import COUNT

Floats = npt.NDArray[np.float64]

# Rests are cut off here, in units of their deviation, and the share of their mean variance added to each.
_CLIP, _PENALTY = 6.0, 0.1
_TERMS = Terms(COUNT, 1, 10.0)


@dataclass(frozen=True, eq=False)
class Described:
    """Squares as they are seen by a fit: features (n, d) and covariates (n, 33)."""

    features: Floats
    covariates: Floats


@dataclass(frozen=True, eq=False)
class Discriminant:
    """How far squares lie towards reconstructions: what content predicts is taken off first."""

    conditioning: Conditioning
    direction: Floats
    normaliser: Normaliser

    def score(self, features: Floats, covariates: Floats) -> Floats:
        """Scores (n,) of features (n, d) with covariates (n, 33): higher = more of a reconstruction."""
        return self.normaliser.apply(_along(self.conditioning, self.direction, features, covariates), covariates)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads."""
        parts = {"conditioning": self.conditioning.arrays(), "normaliser": self.normaliser.arrays()}
        named = {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return named | {"direction": self.direction}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Discriminant:
        """From the arrays that `arrays` gave."""
        return cls(
            Conditioning.of_arrays(within(arrays, "conditioning.")),
            arrays["direction"],
            Normaliser.of_arrays(within(arrays, "normaliser.")),
        )


def fit_discriminant(
    reference: Described, groups: npt.NDArray[Any], photographs: Described, rebuilt: Described, seed: int = 42
) -> Discriminant:
    """Fit on squares of a reference, of groups (n,), and on pairs: photographs, and row by row their reconstructions.

    The reference says what content predicts, and what photographs score. ValueError for fewer than two groups or pairs.
    """
    if len(photographs.features) < 2:
        raise ValueError(f"{len(photographs.features)} pairs of a photograph and its reconstruction: at least 2")
    conditioning = fit_conditioning(reference.features, reference.covariates, _TERMS)
    real, made = (_rests(conditioning, side.features, side.covariates) for side in (photographs, rebuilt))
    within_sides = (np.cov(real, rowvar=False) + np.cov(made, rowvar=False)) / 2
    penalty = _PENALTY * within_sides.trace() / len(within_sides)
    direction = np.linalg.solve(within_sides + penalty * np.eye(len(within_sides)), (made - real).mean(axis=0))
    scores = _along(conditioning, direction, reference.features, reference.covariates)
    terms = choose_normaliser(scores, reference.covariates, groups, seed)
    return Discriminant(conditioning, direction, fit_normaliser(scores, reference.covariates, terms))


def told(judge: Discriminant, photographs: Described, rebuilt: Described) -> float:
    """How well photographs and reconstructions are told by their scores: AUROC."""
    # Loaded here: it is judging alone that needs scikit-learn, and an answer does not wait for it.
    from sklearn.metrics import roc_auc_score

    scores = [judge.score(side.features, side.covariates) for side in (photographs, rebuilt)]
    labels = np.repeat([0, 1], [len(side) for side in scores])
    return float(roc_auc_score(labels, np.concatenate(scores)))


def _rests(conditioning: Conditioning, features: Floats, covariates: Floats) -> Floats:
    return np.clip(conditioning.apply(features, covariates), -_CLIP, _CLIP)


def _along(conditioning: Conditioning, direction: Floats, features: Floats, covariates: Floats) -> Floats:
    return np.asarray(_rests(conditioning, features, covariates) @ direction)
