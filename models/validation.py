"""How well the pretext heads tell the tags of photographs from sources never seen in training.

Here belong accuracy against the majority class, ranking accuracy against one half, and their bootstrap
intervals over source groups. Heads and losses are in `pretext`; detection metrics are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from models.pretext import CATEGORICAL, MISSING, RANKED, Targets, Vocabulary

RESAMPLES = 1000
CHUNK = 1024

UNSEEN_CLASSES_LEFT_OUT = ("make", "model")
"""Tags judged only on photographs whose own label occurred in training: no camera can be named unseen."""


class TagValidation(TypedDict, total=False):
    """Validation of one tag; absent entries do not apply, null means there was nothing to judge.

    `baseline` is the share of the validation photographs' own most frequent class, or 0.5 for rankings.
    `interval` holds 95% of bootstrap resamples of groups of `accuracy`, `gain_interval` of accuracy minus
    baseline. `tie_rate` is the share of labelled pairs with equal values, which take no part.
    """

    kind: str
    labelled: int
    groups: int
    classes: int
    accuracy: float | None
    baseline: float
    interval: list[float] | None
    gain_interval: list[float] | None
    pairs: int
    tie_rate: float | None
    within_group_accuracy: float | None
    within_group_interval: list[float] | None
    within_group_pairs: int
    within_group_groups: int


def _ratio(numerator: float, denominator: float) -> float | None:
    return float(numerator / denominator) if denominator > 0 else None


def _weights(groups: int, seed: int) -> NDArray[np.float64]:
    """How often each group is drawn in each resample, (RESAMPLES, groups)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), size=RESAMPLES).astype(np.float64)


def _interval(numerators: NDArray[np.float64], denominators: NDArray[np.float64], groups: int) -> list[float] | None:
    """95% interval of a ratio over resamples; None for fewer than two groups, which bound nothing."""
    kept = denominators > 0
    if groups < 2 or not kept.any():
        return None
    return [float(q) for q in np.quantile(numerators[kept] / denominators[kept], [0.025, 0.975])]


def _membership(groups: Sequence[str]) -> NDArray[np.float64]:
    """One row a photograph, one column a group."""
    names, index = np.unique(np.array(groups), return_inverse=True)
    return np.eye(len(names))[index]


def classification(
    predicted: NDArray[np.int64], codes: NDArray[np.int64], groups: Sequence[str], seed: int = 0
) -> TagValidation:
    """Accuracy of predicted classes (n,) against codes (n,), none of them missing."""
    n = len(codes)
    if n == 0:
        return {"kind": "categorical", "labelled": 0, "groups": 0, "accuracy": None}
    membership = _membership(groups)
    count = membership.shape[1]
    by_class = membership.T @ np.eye(int(codes.max()) + 1)[codes]
    correct = membership.T @ (predicted == codes).astype(np.float64)
    weights = _weights(count, seed)
    drawn, right, majority = weights @ by_class.sum(axis=1), weights @ correct, (weights @ by_class).max(axis=1)
    return {
        "kind": "categorical",
        "labelled": n,
        "groups": count,
        "accuracy": float(correct.sum() / n),
        "baseline": float(by_class.sum(axis=0).max() / n),
        "interval": _interval(right, drawn, count),
        "gain_interval": _interval(right - majority, drawn, count),
    }


def ranking(
    scores: NDArray[np.float64], values: NDArray[np.float64], groups: Sequence[str], seed: int = 0
) -> TagValidation:
    """Share of pairs of photographs whose scores (n,) stand as their values (n,), none of them missing.

    Equal scores count one half. A resample's copies of a group meet each other as other groups do.
    """
    n = len(values)
    if n == 0:
        return {"kind": "ranked", "labelled": 0, "groups": 0, "accuracy": None}
    membership = _membership(groups)
    count = membership.shape[1]
    concordant, total = np.zeros((count, count)), np.zeros((count, count))
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        above = (values[part, None] > values[None, :]).astype(np.float64)
        sign = np.sign(scores[part, None] - scores[None, :])
        concordant += membership[part].T @ (above * (0.5 + 0.5 * sign)) @ membership
        total += membership[part].T @ above @ membership
    weights = _weights(count, seed)
    pairs, labelled_pairs = total.sum(), n * (n - 1) / 2
    right_within, pairs_within = np.diag(concordant), np.diag(total)
    right = np.einsum("ri,ij,rj->r", weights, concordant, weights, optimize=True)
    drawn = np.einsum("ri,ij,rj->r", weights, total, weights, optimize=True)
    return {
        "kind": "ranked",
        "labelled": n,
        "groups": count,
        "accuracy": _ratio(concordant.sum(), pairs),
        "baseline": 0.5,
        "interval": _interval(right, drawn, count),
        "gain_interval": _interval(right - 0.5 * drawn, drawn, count),
        "pairs": int(pairs),
        "tie_rate": _ratio(labelled_pairs - pairs, labelled_pairs),
        "within_group_accuracy": _ratio(right_within.sum(), pairs_within.sum()),
        "within_group_interval": _interval(weights @ right_within, weights @ pairs_within, count),
        "within_group_pairs": int(pairs_within.sum()),
        "within_group_groups": int((pairs_within > 0).sum()),
    }


def validate(
    outputs: Mapping[str, NDArray[np.float64]],
    targets: Targets,
    rows: NDArray[np.int64],
    vocabulary: Vocabulary,
    seed: int = 0,
) -> dict[str, TagValidation]:
    """Validation by tag of the heads' outputs for the photographs `rows` of `targets`.

    A photograph whose make or model never occurred in training is left out of that tag. A categorical tag
    with fewer than two classes has nothing to tell apart: its accuracy is None.
    """
    table: dict[str, TagValidation] = {}
    groups = np.array([targets.groups[row] for row in rows])
    trained = targets.trained_labels()
    for tag in CATEGORICAL:
        labels = [targets.labels[tag][row] for row in rows]
        codes = vocabulary.encode(tag, labels)
        known = codes != MISSING
        if tag in UNSEEN_CLASSES_LEFT_OUT:
            known &= np.array([label in trained[tag] for label in labels], dtype=bool)
        if not vocabulary.learnable(tag):
            known[:] = False
        predicted = outputs[tag].argmax(axis=1)
        table[tag] = classification(predicted[known], codes[known], groups[known].tolist(), seed)
        table[tag]["classes"] = len(vocabulary.classes[tag])
    for i, tag in enumerate(RANKED):
        values = targets.values[rows, i]
        known = ~np.isnan(values)
        table[tag] = ranking(outputs[tag][known], values[known], groups[known].tolist(), seed)
    return table


def score(table: Mapping[str, TagValidation]) -> float:
    """Mean gain over the baseline of all tags that could be judged; 0 when none could."""
    gains = [
        entry["accuracy"] - entry["baseline"]
        for entry in table.values()
        if entry.get("accuracy") is not None and entry["accuracy"] is not None
    ]
    return float(np.mean(gains)) if gains else 0.0
