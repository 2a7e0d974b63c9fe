"""The parts of the detector in the box: each scores squares by one kind of evidence.

Here belong what a part is and the one made of a density of features. The features themselves are in `square_features`,
the density in `density`; the network that tells reconstructions is in `reconstruction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.arrays import within
from models.density import ConditionalDensity
from models.reconstruction import network_part_of
from models.square_features import SquareFeatures, features_of
from models.squares import Squares

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
        features = features_of(facts["features"], within(arrays, "features."))
        return DensityPart(facts["name"], features, ConditionalDensity.of_arrays(within(arrays, "density.")))
    if facts["kind"] == "reconstruction":
        return network_part_of(facts, arrays)
    raise ValueError(f"no part of kind {facts['kind']!r} is known")
