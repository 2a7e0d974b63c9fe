"""How badly what a photograph's metadata claims fits what is read from its pixels.

Here belong the claims as arrays, what is learned of each tag on photographs that the reader has not seen, and the
nonconformity of a claim and of all together. p-values and the file are in `claims`, how well true metadata is told from
that of another photograph in `swaps`.

The nonconformity of one claim is minus its pointwise mutual information with the pixels, in nats: how much less likely
the claimed value is given what is read than among photographs at large. So a rare value is no evidence by itself,
and a reader that has learned nothing of unseen sources says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from models.pretext import CATEGORICAL, MISSING, RANKED, TAGS, Vocabulary

Floats = npt.NDArray[np.float64]
Outputs = Mapping[str, Floats]
"""What is read of n photographs: logits (n, classes) of a categorical tag, scores (n,) of a ranked one."""

FEWEST = 20
"""Photographs with a tag, of at least two sources, without which nothing is learned of it."""

# Heads are overconfident on sources they have not seen, hardly ever the other way round.
_STEEPEST = 3.0
# Outputs beyond these quantiles of what was seen are drawn in: a line holds within its data.
_SEEN = (0.01, 0.99)


@dataclass(frozen=True, eq=False)
class Claimed:
    """What the metadata of n photographs claims.

    `codes` (n, 7): classes of the categorical tags in the order of `CATEGORICAL`, -1 where there is no claim or one of
    a class that the reader does not know. `values` (n, 7): ranked tags in the scale of `RANKED`, NaN where missing.
    """

    codes: npt.NDArray[np.int64]
    values: Floats

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], vocabulary: Vocabulary) -> Claimed:
        """From typed EXIF, as rows of the table `exif` have it; tags that a row does not have are no claims."""
        codes = [[_code(vocabulary, tag, row.get(tag)) for tag in CATEGORICAL] for row in rows]
        values = [[_scaled(row.get(tag), scale) for tag, scale in RANKED.items()] for row in rows]
        return cls(
            np.array(codes, dtype=np.int64).reshape(len(rows), len(CATEGORICAL)),
            np.array(values, dtype=np.float64).reshape(len(rows), len(RANKED)),
        )

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: npt.NDArray[np.int64]) -> Claimed:
        """The claims of some photographs."""
        return Claimed(self.codes[rows], self.values[rows])

    @property
    def numbers(self) -> Floats:
        """All claims (n, 14) in the order of `TAGS`, NaN where there is none: equal numbers are equal claims."""
        return np.hstack([np.where(self.codes == MISSING, np.nan, self.codes), self.values])


def _code(vocabulary: Vocabulary, tag: str, label: object) -> int:
    # A value that was too rare to be named is not taken for the class of all others: the reader saw few of those.
    classes = vocabulary.classes[tag]
    return (
        classes.index(label) if isinstance(label, str) and label in classes and vocabulary.learnable(tag) else MISSING
    )


def _scaled(value: object, scale: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return np.nan
    if scale == "log2":
        return float(np.log2(value)) if value > 0 else np.nan
    return float(value)


@dataclass(frozen=True)
class Line:
    """A ranked tag: its value is normal around a line through the score that is read, and at large around its mean.

    `low` and `high` bound the scores. A `slope` of 0 says nothing.
    """

    slope: float
    intercept: float
    spread: float
    mean: float
    spread_at_large: float
    low: float
    high: float

    def nonconformity(self, scores: Floats, values: Floats) -> Floats:
        """Nats (n,) by which the values are less likely given the scores than at large."""
        expected = self.intercept + self.slope * np.clip(scores, self.low, self.high)
        given = np.square((values - expected) / self.spread) / 2 + np.log(self.spread)
        at_large = np.square((values - self.mean) / self.spread_at_large) / 2 + np.log(self.spread_at_large)
        return np.asarray(given - at_large)


@dataclass(frozen=True)
class Classes:
    """A categorical tag: the classes' shares at large times a power of what is read above its own mean.

    `log_shares` and `means` of the logits, one a class. A `steepness` of 0 says nothing.
    """

    steepness: float
    log_shares: tuple[float, ...]
    means: tuple[float, ...]

    def nonconformity(self, logits: Floats, codes: Floats) -> Floats:
        """Nats (n,) by which the classes (n,) are less likely given the logits (n, classes) than at large."""
        found = self.steepness * (logits - np.array(self.means))
        known = np.where(np.isnan(codes), 0, codes).astype(np.int64)
        evidence = found[np.arange(len(known)), known] - logsumexp(found + np.array(self.log_shares), axis=1)
        return np.where(np.isnan(codes), np.nan, -evidence)


@dataclass(frozen=True, eq=False)
class Plausibility:
    """What is learned of every tag, and how the nonconformities of photographs with their own metadata vary together.

    `tags` has those that say something. `means` (14,) and `covariance` (14, 14) are in the order of `TAGS`.
    """

    tags: Mapping[str, Line | Classes]
    means: Floats
    covariance: Floats

    def nonconformity(self, outputs: Outputs, claimed: Claimed) -> Floats:
        """Nonconformity (n, 14) of claims with what is read, higher = fits worse; NaN where one is silent."""
        numbers = claimed.numbers
        found = np.full(numbers.shape, np.nan)
        for column, tag in enumerate(TAGS):
            if tag in self.tags:
                found[:, column] = self.tags[tag].nonconformity(outputs[tag], numbers[:, column])
        return found

    def joint(self, nonconformities: Floats) -> Floats:
        """One nonconformity (n,) from those of the tags (n, 14), in deviations that their sum has; NaN where all are.

        What tags say in common (the lens in focal length and aperture) counts as the covariance has it, and photographs
        with few claims compare with those that have many.
        """
        known = ~np.isnan(nonconformities)
        total = np.where(known, nonconformities - self.means, 0.0).sum(axis=1)
        variance = np.einsum("ni,ij,nj->n", known, self.covariance, known)
        return np.where(known.any(axis=1), total / np.sqrt(np.maximum(variance, 1e-12)), np.nan)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "tags": {tag: asdict(fitted) for tag, fitted in self.tags.items()},
            "means": self.means.tolist(),
            "covariance": self.covariance.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plausibility:
        """From what `to_json` gave."""
        tags: dict[str, Line | Classes] = {}
        for tag, fitted in content["tags"].items():
            tags[tag] = Line(**fitted) if tag in RANKED else Classes(**{k: _tuple(v) for k, v in fitted.items()})
        return cls(tags, np.array(content["means"]), np.array(content["covariance"]))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def fit_plausibility(outputs: Outputs, claimed: Claimed, groups: npt.NDArray[Any]) -> Plausibility:
    """Learn from n photographs, that the reader has not seen, with their own metadata; groups (n,) are their sources.

    Each source counts alike, however many photographs it has. A tag with too few photographs, or of which what
    is read says nothing there, is left out.
    """
    numbers = claimed.numbers
    tags: dict[str, Line | Classes] = {}
    for column, tag in enumerate(TAGS):
        known = ~np.isnan(numbers[:, column])
        if known.sum() < FEWEST or len(np.unique(groups[known])) < 2:
            continue
        fit = _fit_line if tag in RANKED else _fit_classes
        fitted = fit(outputs[tag][known], numbers[known, column], _weights(groups[known]))
        if fitted is not None:
            tags[tag] = fitted
    bare = Plausibility(tags, np.zeros(len(TAGS)), np.eye(len(TAGS)))
    return Plausibility(tags, *_moments(bare.nonconformity(outputs, claimed)))


def _weights(groups: npt.NDArray[Any]) -> Floats:
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1.0 / sizes[index]
    return np.asarray(weights / weights.sum())


def _fit_line(scores: Floats, values: Floats, weights: Floats) -> Line | None:
    low, high = np.quantile(scores, _SEEN)
    drawn_in = np.clip(scores, low, high)
    centre, mean = float(weights @ drawn_in), float(weights @ values)
    variance, at_large = weights @ np.square(drawn_in - centre), weights @ np.square(values - mean)
    slope = weights @ ((drawn_in - centre) * (values - mean)) / variance if variance > 0 else 0.0
    left = at_large - slope**2 * variance
    if slope <= 0 or left <= 1e-6 * at_large:
        return None
    return Line(
        slope=float(slope),
        intercept=float(mean - slope * centre),
        spread=float(np.sqrt(left)),
        mean=mean,
        spread_at_large=float(np.sqrt(at_large)),
        low=float(low),
        high=float(high),
    )


def _fit_classes(logits: Floats, codes: Floats, weights: Floats) -> Classes | None:
    count = logits.shape[1]
    # Half a photograph more in each class, so that none is impossible.
    shares = np.bincount(codes.astype(np.int64), weights, count) + 0.5 / len(codes)
    log_shares, means = np.log(shares / shares.sum()), weights @ logits

    def loss(steepness: float) -> float:
        given = log_softmax(log_shares + steepness * (logits - means), axis=1)
        return float(-weights @ given[np.arange(len(codes)), codes.astype(np.int64)])

    steepness = float(minimize_scalar(loss, bounds=(0.0, _STEEPEST), method="bounded").x)
    if loss(steepness) >= loss(0.0):
        return None
    return Classes(steepness, tuple(log_shares.tolist()), tuple(means.tolist()))


def _moments(nonconformities: Floats) -> tuple[Floats, Floats]:
    """Means (14,) and covariance (14, 14); a tag that is missing counts as its mean, so the covariance stays one."""
    known = ~np.isnan(nonconformities)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, nonconformities, 0.0).sum(axis=0) / counts
    rests = np.where(known, nonconformities - means, 0.0)
    return means, rests.T @ rests / np.sqrt(np.outer(counts, counts))
