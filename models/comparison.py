"""Is one detector better than another on the same images: difference of AUROC, its interval, and DeLong's test.

What belongs here: two scores of one set of images. What does not: metrics of one detector (`metrics`), and which
detectors are compared on which images.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import erfc
from scipy.stats import rankdata

from models.bootstrap import Floats, Resamples, estimates
from models.ranking import auroc

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """AUROC of `a` minus AUROC of `b`, with the ends of its 95% interval, and DeLong's two-sided p-value.

    None without one of the classes; the p-value also with fewer than two images of a class.
    """

    n_real: int
    n_fake: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p_value: float | None


def compare(
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    sources: npt.ArrayLike | None = None,
    resamples: Resamples | None = None,
) -> Comparison:
    """Compare two scores (n,) of the same images by their AUROC, with paired bootstrap draws and DeLong's test.

    `resamples` are the draws of these very images; else they are made here, within each source of a class. Raises
    `ValueError` as `metrics.evaluate` does.
    """
    drawn = Resamples(labels, sources) if resamples is None else resamples
    if not np.array_equal(drawn.labels, labels):
        raise ValueError("the resamples are those of other labels")
    return compare_pairs(drawn, {"a": scores_a, "b": scores_b}, [("a", "b")])[0]


def compare_pairs(
    resamples: Resamples, scores: Mapping[Key, npt.ArrayLike], pairs: Sequence[tuple[Key, Key]]
) -> list[Comparison]:
    """Compare pairs of scores (n,) of the same images, as `compare` does; each score is ranked once."""
    n_real, n_fake = resamples.real.size, resamples.fake.size
    ranked = {key: _rank(resamples, np.asarray(score, dtype=np.float64)) for key, score in scores.items()}
    compared = []
    for first, second in pairs:
        a, b = ranked[first], ranked[second]
        if a is None or b is None:
            compared.append(Comparison(n_real, n_fake, None, None, None, None))
            continue
        found = estimates({"difference": a.areas - b.areas})["difference"]
        compared.append(Comparison(n_real, n_fake, found.value, found.low, found.high, _p_value(a, b)))
    return compared


def delong_p_value(labels: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike) -> float | None:
    """Two-sided p-value of DeLong's test that two scores (n,) of the same images have equal AUROC.

    By midranks (Sun and Xu, 2014), so ties are right. Without any variance it is 1 where the areas are equal and 0
    where they are not. None with fewer than two images of a class.
    """
    return compare(labels, scores_a, scores_b, resamples=Resamples(labels, draws=0)).p_value


@dataclass(frozen=True, eq=False)
class _Ranked:
    """AUROC of each draw (1 + draws,), and DeLong's placements, not divided by the number of the other class.

    `won` (n_fake,) counts the photographs below each generated image, `lost` (n_real,) the generated images above each
    photograph; a tie counts one half.
    """

    areas: Floats
    won: Floats
    lost: Floats


def _rank(resamples: Resamples, score: Floats) -> _Ranked | None:
    """Rank a score (n,); None without one of the classes."""
    if score.shape != resamples.labels.shape:
        raise ValueError("labels and scores are arrays of one length")
    if np.isnan(score).any():
        raise ValueError("a score is NaN; images without a score are to be left out")
    if not resamples.both:
        return None
    real, fake = score[resamples.real], score[resamples.fake]
    ranks = rankdata(np.concatenate((real, fake)))
    return _Ranked(
        areas=auroc(real, fake, resamples.real_counts, resamples.fake_counts),
        won=ranks[len(real) :] - rankdata(fake),
        lost=len(fake) - (ranks[: len(real)] - rankdata(real)),
    )


def _p_value(a: _Ranked, b: _Ranked) -> float | None:
    """DeLong's test of two ranked scores."""
    n_fake, n_real = len(a.won), len(a.lost)
    if min(n_real, n_fake) < 2:
        return None
    # Differences of whole and half numbers: exact, so equal ones have a variance of exactly 0.
    won, lost = a.won - b.won, a.lost - b.lost
    difference = won.sum() / (n_fake * n_real)
    variance = won.var(ddof=1) / n_real**2 / n_fake + lost.var(ddof=1) / n_fake**2 / n_real
    if variance == 0:
        return float(difference == 0)
    return float(erfc(abs(difference) / np.sqrt(2 * variance)))
