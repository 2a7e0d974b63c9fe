"""What the backbone learns: to tell 14 EXIF tags of a photograph from its residuals.

Here belong the tags, the class vocabulary, the targets as arrays, the heads and their losses. How well the heads
do on unseen sources is in `validation`; the network below the heads is in `backbone`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

CATEGORICAL = {
    "make": 7,
    "model": 6,
    "flash": 4,
    "metering_mode": 6,
    "exposure_mode": 4,
    "white_balance": 2,
    "scene_capture_type": 5,
}
"""Categorical tags and their published number of classes."""

RANKED = {
    "f_number": "log2",
    "exposure_time_s": "log2",
    "iso": "log2",
    "focal_length_mm": "log2",
    "focal_length_35mm_mm": "log2",
    "exposure_bias_ev": "linear",
    "brightness_ev": "linear",
}
"""Ranked tags and their natural scale. Ranking uses the order only; the scale is for reports."""

TAGS = (*CATEGORICAL, *RANKED)
OTHER = "other"
MISSING = -1
VOCABULARY_VERSION = 1

TRAINING_FOLDS = (0, 1, 2)
VALIDATION_FOLD = 3


class TargetsError(ValueError):
    """The table of pretext targets cannot be used; the message says why."""


@dataclass(frozen=True)
class Vocabulary:
    """Classes of each categorical tag, in the order of the head's outputs."""

    classes: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, labels: Mapping[str, Sequence[str | None]]) -> Vocabulary:
        """Take the classes from the training folds' labels.

        The most frequent values (ties in alphabetical order) up to the published class count; where there
        are more values than classes, the last class is `other` and holds the rest.
        """
        classes = {}
        for tag, count in CATEGORICAL.items():
            frequency = Counter(label for label in labels[tag] if label is not None)
            ordered = sorted(frequency, key=lambda label: (-frequency[label], label))
            if len(ordered) > count:
                named = [label for label in ordered if label != OTHER]
                ordered = [*named[: count - 1], OTHER]
            classes[tag] = tuple(ordered)
        return cls(classes)

    def encode(self, tag: str, labels: Sequence[str | None]) -> NDArray[np.int64]:
        """Class index of each label, -1 where it is missing or of no class."""
        index = {label: i for i, label in enumerate(self.classes[tag])}
        rest = index.get(OTHER, MISSING)
        codes = [MISSING if label is None else index.get(label, rest) for label in labels]
        return np.array(codes, dtype=np.int64)

    def learnable(self, tag: str) -> bool:
        """Whether a categorical tag has two classes to tell apart."""
        return len(self.classes[tag]) >= 2

    def to_json(self) -> str:
        """JSON with the version of the format."""
        return json.dumps({"version": VOCABULARY_VERSION, "classes": self.classes}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Read `to_json`'s text; ValueError for another version or other tags."""
        content = json.loads(text)
        if content.get("version") != VOCABULARY_VERSION:
            raise ValueError(f"vocabulary version {content.get('version')} is not {VOCABULARY_VERSION}")
        classes = {tag: tuple(names) for tag, names in content["classes"].items()}
        if set(classes) != set(CATEGORICAL):
            raise ValueError(f"vocabulary has the tags {sorted(classes)}, not {sorted(CATEGORICAL)}")
        return cls(classes)


@dataclass(frozen=True)
class Targets:
    """Pretext targets of n photographs.

    `labels`: raw text labels by categorical tag, None where missing. `values` (n, 7): ranked tags in their
    natural scale, NaN where missing.
    """

    photo_ids: list[str]
    groups: list[str]
    folds: NDArray[np.int64]
    labels: dict[str, list[str | None]]
    values: NDArray[np.float64]

    def rows(self, folds: Sequence[int]) -> NDArray[np.int64]:
        """Indices of the photographs in the given folds."""
        return np.flatnonzero(np.isin(self.folds, folds))

    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the training folds."""
        rows = self.rows(TRAINING_FOLDS)
        return Vocabulary.of({tag: [labels[row] for row in rows] for tag, labels in self.labels.items()})

    def trained_labels(self) -> dict[str, set[str | None]]:
        """Raw labels by categorical tag that occur in the training folds."""
        rows = self.rows(TRAINING_FOLDS)
        return {tag: {labels[row] for row in rows} for tag, labels in self.labels.items()}

    def codes(self, vocabulary: Vocabulary) -> NDArray[np.int64]:
        """Class indices (n, 7) in the order of `CATEGORICAL`, -1 where missing."""
        return np.stack([vocabulary.encode(tag, self.labels[tag]) for tag in CATEGORICAL], axis=1)


def read_targets(path: Path) -> Targets:
    """Read the Parquet table `pretext_targets`.

    Values a logarithm does not know (zero, negative) and infinite ones are missing. TargetsError for
    missing columns or a photograph listed twice.
    """
    wanted = ["photo_id", "group", "fold", *TAGS]
    absent = sorted(set(wanted) - set(pq.read_schema(path).names))
    if absent:
        raise TargetsError(f"{path.name}: no column {', '.join(absent)}; build the pretext targets again")
    table = pq.read_table(path, columns=wanted).sort_by("photo_id")
    photo_ids = table["photo_id"].to_pylist()
    if len(set(photo_ids)) != len(photo_ids):
        raise TargetsError(f"{path.name}: a photo_id occurs twice; build the pretext targets again")
    columns = []
    for tag, scale in RANKED.items():
        values = np.array(table[tag].to_pylist(), dtype=np.float64)
        if scale == "log2":
            values = np.log2(values, where=values > 0, out=np.full_like(values, np.nan))
        columns.append(np.where(np.isfinite(values), values, np.nan))
    return Targets(
        photo_ids=photo_ids,
        groups=table["group"].to_pylist(),
        folds=np.array(table["fold"].to_pylist(), dtype=np.int64),
        labels={tag: table[tag].to_pylist() for tag in CATEGORICAL},
        values=np.stack(columns, axis=1),
    )


class PretextHeads(nn.Module):
    """One linear layer a tag on the image feature: logits of its classes, or the score of a ranked tag."""

    def __init__(self, dimension: int, vocabulary: Vocabulary) -> None:
        super().__init__()
        outputs = {tag: max(1, len(vocabulary.classes[tag])) for tag in CATEGORICAL}
        self.linear = nn.ModuleDict({tag: nn.Linear(dimension, outputs.get(tag, 1)) for tag in TAGS})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map image features (B, D) to logits (B, classes) or scores (B,) by tag."""
        outputs = {tag: layer(features) for tag, layer in self.linear.items()}
        return {tag: output.squeeze(1) if tag in RANKED else output for tag, output in outputs.items()}


def classification_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, classes) where codes (B,) are not missing; 0 where all are."""
    known = codes != MISSING
    if not known.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[known], codes[known])


def thurstone_loss(scores: Tensor, values: Tensor) -> Tensor:
    """Mean of -log Phi(s_a - s_b) over all pairs of the batch whose value a is above value b.

    Scores and values (B,); ties and missing values (NaN) take no part; 0 where no pair is left. Phi is the
    normal distribution function: P(a > b) of Thurstone's model, its logarithm exact far into the tail.
    """
    higher = values[:, None] > values[None, :]
    differences = (scores[:, None] - scores[None, :])[higher]
    if differences.numel() == 0:
        return scores.sum() * 0.0
    loss: Tensor = -torch.special.log_ndtr(differences).mean()
    return loss


def losses(outputs: Mapping[str, Tensor], codes: Tensor, values: Tensor) -> dict[str, Tensor]:
    """Loss by tag of a batch: codes (B, 7) and values (B, 7) in the order of `CATEGORICAL` and `RANKED`.

    Training minimises their sum.
    """
    result = {tag: classification_loss(outputs[tag], codes[:, i]) for i, tag in enumerate(CATEGORICAL)}
    return result | {tag: thurstone_loss(outputs[tag], values[:, i]) for i, tag in enumerate(RANKED)}
