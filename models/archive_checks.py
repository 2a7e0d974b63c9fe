"""Whether an archive's photographs score as those that a detector was calibrated on, and whether a rate is kept there.

Here belong the two questions asked of an archive before its calibration is believed; making the calibration belongs to
`recalibration`. All intervals count photographs as independent draws. Those of one burst are not, so that where an
archive has few groups the truth may lie outside more often than the interval says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp

from models import conformal
from models.combined import COMBINED, CombinedDetector, Examination
from models.flag_counts import flag_counts
from models.metrics import RealisedRate, realised_fpr
from models.recalibration import Scored, recalibrate, recalibrated

Floats = npt.NDArray[np.float64]

# Two archives score differently where chance gives such a distance this rarely, and where it matters: of many
# photographs the test finds any difference.
_CHANCE = 0.01
_DISTANCE = 0.1
_NO_PLACES = np.empty((0, 2), dtype=np.int64)


class Fit(StrEnum):
    """How an archive's photographs score beside those of the detector's calibration."""

    FITS = "fits"
    HIGHER = "scores_higher"
    LOWER = "scores_lower"
    SOME_GENERATED = "some_look_generated"


@dataclass(frozen=True)
class Reference:
    """An archive beside the detector's own calibration.

    `flagged` is the share that the detector's own threshold flags; `distance` that of Kolmogorov and Smirnov between
    the combined scores of both (0 to 1), and `chance` its two-sample p-value; `upper_half` the share, of the
    photographs not flagged, that scores in the upper half of calibration photographs not flagged: .5 where it fits.
    """

    fit: Fit
    flagged: RealisedRate
    distance: float
    chance: float
    upper_half: RealisedRate


@dataclass(frozen=True)
class SelfCheck:
    """The rate realised on photographs held out: calibrated on one half of an archive, flagged in the other.

    `by_group`: whole groups are held out. `expected` bounds with probability 95% the number flagged if all photographs
    were exchangeable; it allows for chance in both halves, the interval of `realised` for that in the second alone.
    """

    by_group: bool
    calibrated_on: int
    calibrated_groups: int
    held_out_groups: int
    realised: RealisedRate
    expected: tuple[int, int]

    @property
    def kept(self) -> bool:
        """Whether no more are flagged than exchangeable photographs would have."""
        return self.realised.flagged <= self.expected[1]


def examined(detector: CombinedDetector, photographs: Sequence[Scored]) -> list[Examination]:
    """What the detector says of photographs with its present calibration."""
    return [detector.judge(one.scores, _NO_PLACES) for one in photographs]


def beside_reference(detector: CombinedDetector, seen: Sequence[Examination]) -> Reference:
    """An archive's photographs beside the detector's own calibration. ValueError without photographs.

    More flagged than the rate allows is either an archive that scores higher as a whole, or pictures that stand out of
    one that does not: what is not flagged tells which.
    """
    p_values = np.array([one.p_value for one in seen])
    (flagged,) = realised_fpr(p_values, (detector.fpr,))
    scores = np.array([one.score for one in seen])
    found = ks_2samp(scores, detector.calibration.images[COMBINED])
    distance, chance = float(found.statistic), float(found.pvalue)
    upper_half = _upper_half(p_values, detector.fpr)
    alike = chance > _CHANCE or distance < _DISTANCE
    return Reference(_fit(flagged, alike, upper_half), flagged, distance, chance, upper_half)


def _upper_half(p_values: Floats, fpr: float) -> RealisedRate:
    rest = p_values[p_values > fpr]
    middle = (1 + fpr) / 2
    if not len(rest):
        return RealisedRate(0.5, 0, 0, 0.5, 0.0, 1.0)
    (share,) = realised_fpr(rest, (middle,))
    return replace(share, nominal=0.5)


def _fit(flagged: RealisedRate, alike: bool, upper_half: RealisedRate) -> Fit:
    if flagged.low > flagged.nominal:
        # Where all are flagged, nothing is left that could say that only some stand out.
        return Fit.HIGHER if upper_half.low > 0.5 or not upper_half.n else Fit.SOME_GENERATED
    if alike:
        return Fit.FITS
    return Fit.HIGHER if upper_half.rate > 0.5 else Fit.LOWER


def self_check(
    detector: CombinedDetector, photographs: Sequence[Scored], fpr: float, seed: int = 0
) -> SelfCheck | None:
    """Calibrate on one half and flag the other; None where half of the photographs are too few for the rate.

    Halves are of whole groups, unless no share of the groups is enough to calibrate on.
    """
    rng = np.random.default_rng(seed)
    groups = [one.group for one in photographs]
    by_group = 1 < len(set(groups)) < len(groups)
    first = _half(groups, rng)
    if first.sum() < conformal.needed_scores(fpr) or first.all():
        by_group = False
        first = _half(list(range(len(photographs))), rng)
    if first.sum() < conformal.needed_scores(fpr) or first.all():
        return None
    own = [one for one, chosen in zip(photographs, first, strict=True) if chosen]
    others = [one for one, chosen in zip(photographs, first, strict=True) if not chosen]
    calibrated = recalibrated(detector, recalibrate(own, detector=detector.identity, name="", fpr=fpr, facts={}))
    (realised,) = realised_fpr([one.p_value for one in examined(calibrated, others)], (fpr,))
    return SelfCheck(
        by_group,
        len(own),
        len({one.group for one in own}),
        len({one.group for one in others}),
        realised,
        expected_flags(len(own), len(others), fpr),
    )


def _half(groups: Sequence[str | int], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which photographs (n,) are in the larger half of whole groups: the largest group first, to the smaller half."""
    names, rows, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes = [0, 0]
    side = np.empty(len(names), dtype=np.int64)
    for group in order:
        side[group] = int(sizes[1] < sizes[0])
        sizes[side[group]] += counts[group]
    return np.asarray(side[rows] == int(sizes[1] > sizes[0]))


def expected_flags(calibrated_on: int, judged: int, fpr: float) -> tuple[int, int]:
    """Bounds of how many of `judged` photographs are flagged, with probability 95%, where all are exchangeable.

    TooFewCalibrationScoresError where the rate cannot be kept.
    """
    needed = conformal.needed_scores(fpr)
    if calibrated_on < needed:
        raise conformal.TooFewCalibrationScoresError(fpr, needed, calibrated_on)
    low, high = flag_counts(judged, calibrated_on, fpr).ppf([0.025, 0.975])
    return int(low), int(high)
