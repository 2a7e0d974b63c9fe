"""Kinds of features that squares have, each by itself and at several scales.

Here belong what such features are, those of a backbone, and the pyramid. The others are in `hand_features`,
`co_occurrences` and `coding`, what is fitted on them in `density` and `discriminant`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from models.backbone import PRESETS, Backbone
from models.co_occurrences import co_occurrences
from models.coding import coding_features_of
from models.content import pooled
from models.features import covariance_features
from models.hand_features import hand_features
from models.patches import tiles

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]


class SquareFeatures(Protocol):
    """What turns squares (n, H, W, 3) into features (n, d)."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, d)."""
        ...

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """What they are as a JSON object with its `kind`, and arrays."""
        ...


@dataclass(frozen=True, eq=False)
class CovarianceFeatures:
    """Covariances of a backbone's last maps, averaged over the patches of 64 px in a square: (n, D)."""

    preset: str
    backbone: Backbone

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, D)."""
        patches = tiles(pixels)
        vectors = covariance_features(self.backbone, patches.reshape(-1, *patches.shape[2:]))
        return np.asarray(vectors.reshape(*patches.shape[:2], -1).mean(axis=1, dtype=np.float64))

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """The preset, and the network's weights."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.backbone.state_dict().items()}
        return {"kind": "covariance", "preset": self.preset}, weights


@dataclass(frozen=True)
class HandFeatures:
    """Predictors and spectrum, which need no network: (n, 187)."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, 187)."""
        return hand_features(pixels)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """Their kind; nothing in them was learned."""
        return {"kind": "handmade"}, {}


@dataclass(frozen=True)
class CoOccurrences:
    """Which residuals stand next to which: (n, 195)."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, 195)."""
        return co_occurrences(pixels)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """Their kind; nothing in them was learned."""
        return {"kind": "co_occurrences"}, {}


@dataclass(frozen=True)
class Pyramid:
    """Features of a square as it is and made smaller, side by side.

    In photographs the finest detail goes with that of coarser scales; a generator makes both, and need not make them
    fit. The density of all of these together sees whether they do. That the change between scales tells is of
    Cozzolino et al., "Zero-shot detection of AI-generated images" (ECCV 2024).
    """

    features: SquareFeatures
    factors: tuple[int, ...]
    """By which the side is divided."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, len(factors) x d), those of the first factor first."""
        return np.concatenate([self.features(reduced(pixels, factor)) for factor in self.factors], axis=1)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """The factors, and what the features are."""
        facts, arrays = self.features.stored()
        return {"kind": "pyramid", "factors": list(self.factors), "of": facts}, arrays


def reduced(pixels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Squares (n, H, W, 3) whose sides a factor divides as means (n, H / factor, W / factor, 3) of as many pixels."""
    if factor == 1:
        return pixels
    means = pooled(pixels.transpose(0, 3, 1, 2).astype(np.float32), factor)
    return np.ascontiguousarray(np.floor(means + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))


def features_of(facts: Mapping[str, Any], arrays: Arrays) -> SquareFeatures:
    """The features that `stored` gave. ValueError for a kind that is not known here."""
    if facts["kind"] == "pyramid":
        return Pyramid(features_of(facts["of"], arrays), tuple(facts["factors"]))
    if facts["kind"] == "covariance":
        backbone = Backbone(PRESETS[facts["preset"]])
        backbone.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        return CovarianceFeatures(facts["preset"], backbone.eval())
    if facts["kind"] == "handmade":
        return HandFeatures()
    if facts["kind"] == "co_occurrences":
        return CoOccurrences()
    if facts["kind"] == "coding":
        return coding_features_of(arrays)
    raise ValueError(f"no features of kind {facts['kind']!r} are known")
