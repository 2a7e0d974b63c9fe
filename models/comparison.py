"""Is one detector better than another on the same images: difference of AUROC, its interval, and DeLong's test.

What belongs here: two scores of one set of images. What does not: metrics of one detector (`metrics`), and which
detectors are compared on which images.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erfc
from scipy.stats import rankdata

from models.bootstrap import Floats, Resamples, estimates
from models.ranking import auroc


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

    `resamples` are the draws of these very images, where they serve several comparisons; else they are made here,
    within each source of a class. Raises `ValueError` as `metrics.evaluate` does.
    """
    drawn = Resamples(labels, sources) if resamples is None else resamples
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    if not np.array_equal(drawn.labels, labels):
        raise ValueError("the resamples are those of other labels")
    if not a.shape == b.shape == drawn.labels.shape:
        raise ValueError("labels and both scores are arrays of one length")
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a score is NaN; images without a score are to be left out")
    n_real, n_fake = drawn.real.size, drawn.fake.size
    if not drawn.both:
        return Comparison(n_real, n_fake, None, None, None, None)
    first, second = (auroc(x[drawn.real], x[drawn.fake], drawn.real_counts, drawn.fake_counts) for x in (a, b))
    found = estimates({"difference": first - second})["difference"]
    return Comparison(n_real, n_fake, found.value, found.low, found.high, delong_p_value(drawn.labels, a, b))


def delong_p_value(labels: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike) -> float | None:
    """Two-sided p-value of DeLong's test that two scores (n,) of the same images have equal AUROC.

    By midranks (Sun and Xu, 2014), so ties are right. Without any variance it is 1 where the areas are equal and 0
    where they are not. None with fewer than two images of a class.
    """
    label = np.asarray(labels)
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    real, fake = label == 0, label == 1
    n_real, n_fake = int(real.sum()), int(fake.sum())
    if min(n_real, n_fake) < 2:
        return None
    won_a, lost_a = _placements(a[real], a[fake])
    won_b, lost_b = _placements(b[real], b[fake])
    # Differences of whole and half numbers: exact, so equal ones have a variance of exactly 0.
    won, lost = won_a - won_b, lost_a - lost_b
    difference = won.sum() / (n_fake * n_real)
    variance = won.var(ddof=1) / n_real**2 / n_fake + lost.var(ddof=1) / n_fake**2 / n_real
    if variance == 0:
        return float(difference == 0)
    return float(erfc(abs(difference) / np.sqrt(2 * variance)))


def _placements(real: Floats, fake: Floats) -> tuple[Floats, Floats]:
    """Photographs below each generated image (n_fake,), and generated images above each photograph (n_real,).

    A tie counts one half.
    """
    ranks = rankdata(np.concatenate((real, fake)))
    won = ranks[len(real) :] - rankdata(fake)
    lost = len(fake) - (ranks[: len(real)] - rankdata(real))
    return won, lost
