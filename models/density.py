"""The density of photographs' features given what the photographs show, and the score that is read from it.

Here belongs what ties conditioning, mixture and normaliser together: choosing each on held-out groups of photographs,
fitting them, and scoring. The parts are in `conditioning` and `mixture`, calibration and storage in `combined`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.conditioning import CANDIDATES as TERMS
from models.conditioning import (
    Conditioning,
    Normaliser,
    Terms,
    choose_normaliser,
    fit_conditioning,
    fit_normaliser,
)
from models.held_out import held_out_parts
from models.mixture import CANDIDATES, Mixture, MixtureConfig, choose_mixture, fit_mixture

Floats = npt.NDArray[np.float64]

GAUSSIANS = tuple(
    MixtureConfig(components=1, dimension=16, shrinkage=shrinkage) for shrinkage in (0.999, 0.9, 0.5, 0.1, 0.02)
)
"""What the parts of the detector in the box are chosen from: one normal density over all directions.

Tens of thousands of squares are fitted in about a minute. At .999 the covariance is that of Ledoit and Wolf; below,
with ever more of the sample's own. Mixtures of several components fit held-out photographs a little better, but tell
photographs from altered ones no better.
"""

# What the terms are chosen with: the density between the extremes, so that the choice needs no mixture for each.
_PLAIN = MixtureConfig(components=1, dimension=16, shrinkage=0.5)


@dataclass(frozen=True, eq=False)
class ConditionalDensity:
    """Features of photographs given their covariates: what content predicts is taken off, the rest has a density."""

    conditioning: Conditioning
    mixture: Mixture
    normaliser: Normaliser

    def score(self, features: Floats, covariates: Floats) -> Floats:
        """Scores (n,) of features (n, d) with covariates (n, 33): higher = less like a photograph of such content."""
        return self.normaliser.apply(_distance(self.conditioning, self.mixture, features, covariates), covariates)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `of_arrays` reads."""
        parts = {"conditioning": self.conditioning.arrays(), "normaliser": self.normaliser.arrays()}
        named = {f"{part}_{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return named | {"mixture": np.frombuffer(self.mixture.to_bytes(), dtype=np.uint8)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> ConditionalDensity:
        """From the arrays that `arrays` gave."""

        def part(prefix: str) -> dict[str, npt.NDArray[Any]]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        return cls(
            Conditioning.of_arrays(part("conditioning_")),
            Mixture.from_bytes(arrays["mixture"].tobytes()),
            Normaliser.of_arrays(part("normaliser_")),
        )


def fit_density(
    features: Floats,
    covariates: Floats,
    groups: npt.NDArray[Any],
    candidates: Sequence[MixtureConfig] = CANDIDATES,
    seed: int = 42,
) -> ConditionalDensity:
    """Choose and fit on photographs: features (n, d), covariates (n, 33), groups (n,).

    Terms, mixture and the normaliser's terms are those of the highest likelihood on held-out groups; the normaliser
    learns from scores of held-out groups by densities that had not seen them. ValueError for fewer than two groups.
    """
    parts = held_out_parts(groups, seed)
    terms = choose_terms(features, covariates, groups, seed)
    conditioning = fit_conditioning(features, covariates, terms)
    rests = conditioning.apply(features, covariates)
    config = choose_mixture(rests, groups, candidates, seed) if len(candidates) > 1 else candidates[0]
    scores = np.empty(len(features))
    for fitting, held_out in parts:
        part = fit_conditioning(features[fitting], covariates[fitting], terms)
        mixture = fit_mixture(part.apply(features[fitting], covariates[fitting]), config)
        scores[held_out] = _distance(part, mixture, features[held_out], covariates[held_out])
    normaliser = fit_normaliser(scores, covariates, choose_normaliser(scores, covariates, groups, seed))
    return ConditionalDensity(conditioning, fit_mixture(rests, config), normaliser)


def choose_terms(
    features: Floats, covariates: Floats, groups: npt.NDArray[Any], seed: int = 42, candidates: Sequence[Terms] = TERMS
) -> Terms:
    """The terms under which held-out groups are likeliest, the first among equals; no generated image takes part."""
    totals = np.zeros(len(candidates))
    for fitting, held_out in held_out_parts(groups, seed):
        for number, terms in enumerate(candidates):
            part = fit_conditioning(features[fitting], covariates[fitting], terms)
            mixture = fit_mixture(part.apply(features[fitting], covariates[fitting]), _PLAIN)
            rests = part.apply(features[held_out], covariates[held_out])
            totals[number] += (mixture.log_likelihood(rests) + part.log_volume).sum()
    return candidates[int(np.argmax(totals))]


def _distance(conditioning: Conditioning, mixture: Mixture, features: Floats, covariates: Floats) -> Floats:
    """How far from the likeliest photograph of such content, (n,): log of 1 + nats below the peak.

    The logarithm makes the distances of photographs nearly normal, which the normaliser's least squares want.
    """
    below = mixture.peak - mixture.log_likelihood(conditioning.apply(features, covariates))
    return np.asarray(np.log1p(np.maximum(below, 0.0)))
