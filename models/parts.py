"""The parts of the detector in the box: each scores squares by one kind of evidence.

Here belong what a part is and the one made of a density of features. The features themselves are in `hand_features`,
`backbone` and `coding`, the density in `density`; the network that tells reconstructions is in `reconstruction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from models.arrays import within
from models.backbone import PATCH, PRESETS, Backbone
from models.coding import coding_features_of
from models.density import ConditionalDensity
from models.features import covariance_features
from models.hand_features import hand_features
from models.reconstruction import network_part_of
from models.squares import SIDE, Squares

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]


class Part(Protocol):
    """What scores squares."""

    @property
    def name(self) -> str:
        """Under which it stands in tables and answers."""
        ...

    def scores(self, seen: Squares) -> Floats:
        """Scores (n,) of squares: higher = less like a photograph; of photographs of held-out sources near 0 and 1."""
        ...

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """What the part is as a JSON object with its `kind`, and its arrays."""
        ...


class SquareFeatures(Protocol):
    """What turns squares (n, 128, 128, 3) into features (n, d)."""

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, d)."""
        ...

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """What they are as a JSON object with its `kind`, and arrays."""
        ...


@dataclass(frozen=True, eq=False)
class CovarianceFeatures:
    """Covariances of a backbone's last maps, averaged over the four patches of a square: (n, D)."""

    preset: str
    backbone: Backbone

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, D)."""
        step = SIDE // PATCH
        cut = pixels.reshape(-1, step, PATCH, step, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
        vectors = covariance_features(self.backbone, np.ascontiguousarray(cut).reshape(-1, PATCH, PATCH, 3))
        return np.asarray(vectors.reshape(len(pixels), step * step, -1).mean(axis=1, dtype=np.float64))

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


@dataclass(frozen=True, eq=False)
class DensityPart:
    """Squares are scored by the density of their features given their content."""

    name: str
    features: SquareFeatures
    density: ConditionalDensity

    def scores(self, seen: Squares) -> Floats:
        """Scores (n,) of squares."""
        return self.density.score(self.features(seen.pixels), seen.covariates)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """Features and density."""
        facts, arrays = self.features.stored()
        density = {f"density.{name}": array for name, array in self.density.arrays().items()}
        features = {f"features.{name}": array for name, array in arrays.items()}
        return {"kind": "density", "name": self.name, "features": facts}, density | features


def part_of(facts: Mapping[str, Any], arrays: Arrays) -> Part:
    """The part that `stored` gave. ValueError for a kind that is not known here."""
    if facts["kind"] == "density":
        features = _features_of(facts["features"], within(arrays, "features."))
        return DensityPart(facts["name"], features, ConditionalDensity.of_arrays(within(arrays, "density.")))
    if facts["kind"] == "reconstruction":
        return network_part_of(facts, arrays)
    raise ValueError(f"no part of kind {facts['kind']!r} is known")


def _features_of(facts: Mapping[str, Any], arrays: Arrays) -> SquareFeatures:
    if facts["kind"] == "covariance":
        backbone = Backbone(PRESETS[facts["preset"]])
        backbone.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        return CovarianceFeatures(facts["preset"], backbone.eval())
    if facts["kind"] == "handmade":
        return HandFeatures()
    if facts["kind"] == "coding":
        return coding_features_of(arrays)
    raise ValueError(f"no features of kind {facts['kind']!r} are known")
