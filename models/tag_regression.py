"""What a picture's statistics say of its EXIF: a ridge regression for each tag, with an effect of each source.

Here belong the fit, its outputs in the form that the pretext heads have, and its arrays. Which statistics those are
belongs to `camera_statistics`.

Photographs of one source share camera, place and habits, so that their values of a tag rise and fall together for no
reason that another source's pixels could show. In a mixed model (Henderson, "Best linear unbiased estimation and
prediction under a selection model", Biometrics 31, 1975) each source has an effect of its own, and the regression
learns from what holds within sources as well as between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from models.plausibility import Claimed, Outputs
from models.pretext import CATEGORICAL, RANKED, Vocabulary

Floats = npt.NDArray[np.float64]

# Variance of a source's effect and of the regression's part of a value, in units of that of a photograph's rest.
_EFFECT, _EXPLAINED = 0.3, 1.0
# Statistics are cut off here, in units of their deviation.
_CLIP = 4.0
# Indicators of classes, regressed, are no logits: their differences are of some tenths.
_STEEPNESS = 4.0


@dataclass(frozen=True, eq=False)
class TagRegression:
    """Outputs by tag that are linear in standardised statistics.

    `weights` (d + 1, K), the last row a constant, has a column for each class of a categorical tag and for each ranked
    tag, in the order of `TAGS`.
    """

    vocabulary: Vocabulary
    mean: Floats
    scale: Floats
    weights: Floats

    def outputs(self, statistics: Floats) -> Floats:
        """Outputs (n, K) for statistics (n, d); one that is unknown (NaN) counts as its mean."""
        return np.asarray(_standard(statistics, self.mean, self.scale) @ self.weights)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads, beside the vocabulary."""
        return {"mean": self.mean, "scale": self.scale, "weights": self.weights.astype(np.float32)}

    @classmethod
    def of_arrays(cls, vocabulary: Vocabulary, arrays: Mapping[str, npt.NDArray[Any]]) -> TagRegression:
        """From the arrays that `arrays` gave."""
        return cls(vocabulary, arrays["mean"], arrays["scale"], arrays["weights"].astype(np.float64))


def widths(vocabulary: Vocabulary) -> dict[str, int]:
    """How many outputs each tag has, in order: one a class, one for a ranked tag, at least one."""
    classes = {tag: max(1, len(vocabulary.classes[tag])) for tag in CATEGORICAL}
    return classes | dict.fromkeys(RANKED, 1)


def split_outputs(together: npt.NDArray[Any], vocabulary: Vocabulary) -> dict[str, Floats]:
    """By tag, what stands side by side (n, K): logits (n, classes) or scores (n,)."""
    counts = widths(vocabulary)
    if together.ndim != 2 or together.shape[1] != sum(counts.values()):
        raise ValueError(f"outputs {together.shape} of tags that have {sum(counts.values())}")
    parts = np.split(together.astype(np.float64), np.cumsum(list(counts.values()))[:-1], axis=1)
    return {tag: part[:, 0] if tag in RANKED else part for tag, part in zip(counts, parts, strict=True)}


def fit_tags(statistics: Floats, claimed: Claimed, groups: npt.NDArray[Any], vocabulary: Vocabulary) -> TagRegression:
    """Fit on n photographs: statistics (n, d), what their EXIF says, and their sources (n,).

    Classes are regressed as indicators, values as the normal scores of their ranks. A tag that no photograph has gets a
    zero.
    """
    known = ~np.isnan(statistics)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, statistics, 0.0).sum(axis=0) / counts
    scale = np.sqrt(np.where(known, np.square(statistics - mean), 0.0).sum(axis=0) / counts)
    scale[scale == 0] = 1.0
    inputs = _standard(statistics, mean, scale)
    columns = []
    for (tag, width), claims in zip(widths(vocabulary).items(), claimed.numbers.T, strict=True):
        rows = np.flatnonzero(~np.isnan(claims))
        if tag in RANKED:
            wanted = _normal_scores(claims[rows])[:, None]
        else:
            wanted = _STEEPNESS * np.eye(width)[claims[rows].astype(np.int64)]
        columns.append(_mixed(inputs[rows], wanted, groups[rows]))
    return TagRegression(vocabulary, mean, scale, np.hstack(columns))


def outputs_of(regression: TagRegression, statistics: Floats) -> Outputs:
    """By tag, what a regression says of statistics (n, d)."""
    return split_outputs(regression.outputs(statistics), regression.vocabulary)


def _standard(statistics: Floats, mean: Floats, scale: Floats) -> Floats:
    """Standardised, cut off, unknown ones at their mean, and a constant beside them: (n, d + 1)."""
    standard = np.clip(np.nan_to_num((statistics - mean) / scale), -_CLIP, _CLIP)
    return np.hstack([standard, np.ones((len(standard), 1))])


def _mixed(inputs: Floats, wanted: Floats, groups: npt.NDArray[Any]) -> Floats:
    """Weights (d + 1, k) for wanted outputs (n, k); the constant bears no penalty.

    Generalised least squares: the covariance of the rests is I + _EFFECT for two of one source; its inverse takes a
    share of the product of each source's sums.
    """
    if not len(inputs):
        return np.zeros((inputs.shape[1], wanted.shape[1]))
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), inputs.shape[1]))
    np.add.at(sums, index, inputs)
    wanted_sums = np.zeros((len(sizes), wanted.shape[1]))
    np.add.at(wanted_sums, index, wanted)
    shared = sums.T * (_EFFECT / (1 + _EFFECT * sizes))
    products = inputs.T @ inputs - shared @ sums
    penalty = np.full(len(products), (len(products) - 1) / _EXPLAINED)
    penalty[-1] = 0.0
    return np.asarray(np.linalg.solve(products + np.diag(penalty), inputs.T @ wanted - shared @ wanted_sums))


def _normal_scores(values: Floats) -> Floats:
    """Quantiles of the normal distribution at the ranks (n,) of values, ties at their middle."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    return np.asarray(ndtri(middles[index] / max(len(values), 1)))
