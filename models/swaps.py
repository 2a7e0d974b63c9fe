"""How well true metadata is told from that of another photograph: cross-fitted by source, on exchanged pairs.

Here belong the cross-fitting, the exchange and its AUROC. The nonconformity that is judged is in `plausibility`.

Two photographs of different sources exchange their metadata: what each claims itself is true, what it claims then is
swapped. So every value is claimed as often truly as falsely, and no rare value gives itself away without the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold

from models import conformal
from models.bootstrap import Estimate, estimates
from models.plausibility import Claimed, Floats, Outputs, Plausibility, fit_plausibility
from models.pretext import TAGS
from models.ranking import auroc

Integers = npt.NDArray[np.int64]

JOINT = "all"
"""Stands for all tags together where tags are named."""
NAMES = (*TAGS, JOINT)

# Exchanges that each photograph is asked for, and of all together.
_EACH = 8
_MOST = 4096
_DRAWS = 1000
_FLAGGED = 0.05


@dataclass(frozen=True, eq=False)
class Half:
    """Photographs (their numbers) that a plausibility, learned on the sources of the other half, has not seen."""

    rows: Integers
    plausibility: Plausibility


def halves(outputs: Outputs, claimed: Claimed, groups: npt.NDArray[Any], seed: int = 0) -> list[Half]:
    """Two halves of the sources, each with what is learned of the other. ValueError for under two sources."""
    if len(np.unique(groups)) < 2:
        raise ValueError("cross-fitting needs at least 2 sources")
    parts = GroupKFold(2, shuffle=True, random_state=seed).split(groups, groups=groups)
    return [
        Half(held_out, fit_plausibility(of_rows(outputs, fitting), claimed.take(fitting), groups[fitting]))
        for fitting, held_out in parts
    ]


def of_rows(outputs: Outputs, rows: Integers) -> dict[str, Floats]:
    """The outputs of some photographs."""
    return {tag: found[rows] for tag, found in outputs.items()}


def nonconformities(half: Half, outputs: Outputs, claimed: Claimed, rows: Integers, of: Integers) -> Floats:
    """Nonconformity (m, 15) of photographs `rows` (m,) with the metadata of photographs `of` (m,), by `NAMES`."""
    found = half.plausibility.nonconformity(of_rows(outputs, rows), claimed.take(of))
    return np.hstack([found, half.plausibility.joint(found)[:, None]])


def cross_fitted(parts: list[Half], outputs: Outputs, claimed: Claimed) -> Floats:
    """Nonconformity (n, 15) of all photographs with their own metadata, each by what has not seen its source."""
    found = np.full((len(claimed), len(NAMES)), np.nan)
    for half in parts:
        found[half.rows] = nonconformities(half, outputs, claimed, half.rows, half.rows)
    return found


@dataclass(frozen=True, eq=False)
class Exchange:
    """Pairs of photographs of different sources: `first` and `second` (m,), and what each claims before and after.

    `own_first`, `own_second`, `swapped_first`, `swapped_second` (m, 15) are nonconformities by `NAMES`; `differs`
    (m, 15) says which claims the two do not have in common.
    """

    first: Integers
    second: Integers
    own_first: Floats
    own_second: Floats
    swapped_first: Floats
    swapped_second: Floats
    differs: npt.NDArray[np.bool_]


def exchange(
    parts: list[Half], outputs: Outputs, claimed: Claimed, groups: npt.NDArray[Any], seed: int = 0
) -> Exchange:
    """Exchange metadata between photographs of different sources within each half."""
    rng = np.random.default_rng(seed)
    found = []
    for half in parts:
        pairs = _pairs(half.rows, groups, rng, _MOST // len(parts))
        first, second = pairs[:, 0], pairs[:, 1]
        of = (first, first), (second, second), (first, second), (second, first)
        found.append((first, second, *(nonconformities(half, outputs, claimed, *rows) for rows in of)))
    first, second, own_first, own_second, swapped_first, swapped_second = (
        np.concatenate(column) for column in zip(*found, strict=True)
    )
    numbers = claimed.numbers
    differs = np.abs(numbers[first] - numbers[second]) > 1e-9
    differs = np.hstack([differs, differs.any(axis=1, keepdims=True)])
    return Exchange(first, second, own_first, own_second, swapped_first, swapped_second, differs)


def _pairs(rows: Integers, groups: npt.NDArray[Any], rng: np.random.Generator, most: int) -> Integers:
    """Pairs (m, 2) of photographs of different sources; each once."""
    drawn = np.stack([np.repeat(rows, _EACH), rng.choice(rows, len(rows) * _EACH)], axis=1)
    drawn = np.unique(np.sort(drawn[groups[drawn[:, 0]] != groups[drawn[:, 1]]], axis=1), axis=0)
    return rng.permutation(drawn)[:most]


@dataclass(frozen=True)
class Told:
    """How well true claims are told from swapped ones, by AUROC with its interval over sources.

    `photographs`, of `sources`, took part in `pairs` exchanges. `found` is the share of swapped claims whose p-value,
    among true ones, is at most .05; None without a pair.
    """

    photographs: int
    sources: int
    pairs: int
    auroc: Estimate
    found: float | None


def told(
    exchanged: Exchange, own: Floats, groups: npt.NDArray[Any], chosen: npt.NDArray[np.bool_], seed: int = 0
) -> Mapping[str, Told]:
    """By tag, and for all tags together: what the chosen pairs (m,) tell, given the true claims' `own` (n, 15).

    A pair in which a claim is missing, or is the same, takes no part in its tag.
    """
    names, index = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    resamples = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS).T.astype(np.float64)
    counts = np.hstack([np.ones((len(names), 1)), resamples])
    return {name: _told(exchanged, own[:, column], index, chosen, counts, column) for column, name in enumerate(NAMES)}


def _told(
    exchanged: Exchange, own: Floats, index: Integers, chosen: npt.NDArray[np.bool_], counts: Floats, column: int
) -> Told:
    scores = np.stack(
        [
            exchanged.own_first[:, column],
            exchanged.own_second[:, column],
            exchanged.swapped_first[:, column],
            exchanged.swapped_second[:, column],
        ]
    )
    kept = chosen & exchanged.differs[:, column] & ~np.isnan(scores).any(axis=0)
    if not kept.any():
        return Told(0, 0, 0, Estimate(None, None, None), None)
    first, second, scores = exchanged.first[kept], exchanged.second[kept], scores[:, kept]
    # A pair is drawn as often as its two sources are.
    weights = np.tile(counts[index[first]] * counts[index[second]], (2, 1))
    swapped = scores[2:].ravel()
    both = np.union1d(first, second)
    areas = auroc(scores[:2].ravel(), swapped, weights, weights)
    sources = len(np.unique(index[both]))
    # A resample that drew no pair is none; the one pair of two sources bounds nothing.
    areas = areas[~np.isnan(areas)] if sources > 2 else areas[:1]
    p_values = conformal.p_value(swapped, own[~np.isnan(own)])
    return Told(
        photographs=len(both),
        sources=sources,
        pairs=int(kept.sum()),
        auroc=estimates({"auroc": areas})["auroc"],
        found=float((p_values <= _FLAGGED).mean()),
    )
