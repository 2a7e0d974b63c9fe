"""The parts of the detector in the box: each scores squares by one kind of evidence.

Here belong what a part is and the one that judges features of squares. The features themselves are in
`square_features`, what judges them in `density` and `discriminant`; the network that tells reconstructions is in
`reconstruction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.arrays import within
from models.density import ConditionalDensity
from models.discriminant import Discriminant
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
class FeaturePart:
    """Squares are scored by their features given their content: by a density of them, or by a discriminant."""

    name: str
    features: SquareFeatures
    judge: ConditionalDensity | Discriminant

    def scores(self, seen: Squares) -> Floats:
        """Scores (n,) of squares."""
        return self.judge.score(self.features(seen.pixels), seen.covariates)

    def stored(self) -> tuple[Mapping[str, Any], Arrays]:
        """Features, and what judges them."""
        facts, arrays = self.features.stored()
        kind = "density" if isinstance(self.judge, ConditionalDensity) else "discriminant"
        judge = {f"{kind}.{name}": array for name, array in self.judge.arrays().items()}
        features = {f"features.{name}": array for name, array in arrays.items()}
        return {"kind": kind, "name": self.name, "features": facts}, judge | features


def scores_by_part(parts: Sequence[Part], seen: Squares) -> dict[str, Floats]:
    """What each part says of squares, scores (n,) by its name; features that several parts judge are computed once."""
    known: dict[SquareFeatures, Floats] = {}
    found: dict[str, Floats] = {}
    for part in parts:
        if not isinstance(part, FeaturePart):
            found[part.name] = part.scores(seen)
            continue
        if part.features not in known:
            known[part.features] = part.features(seen.pixels)
        found[part.name] = part.judge.score(known[part.features], seen.covariates)
    return found


def part_of(facts: Mapping[str, Any], arrays: Arrays) -> Part:
    """The part that `stored` gave. ValueError for a kind that is not known here."""
    kind = facts["kind"]
    if kind in ("density", "discriminant"):
        judge: type[ConditionalDensity | Discriminant] = ConditionalDensity if kind == "density" else Discriminant
        features = features_of(facts["features"], within(arrays, "features."))
        return FeaturePart(facts["name"], features, judge.of_arrays(within(arrays, f"{kind}.")))
    if kind == "reconstruction":
        return network_part_of(facts, arrays)
    raise ValueError(f"no part of kind {kind!r} is known")
