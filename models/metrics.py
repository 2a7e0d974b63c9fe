"""How well scores separate generated images from photographs, with bootstrap intervals.

What belongs here: metrics of labels, scores, verdicts and complexity, and the realised false-positive rate. What does
not: how they are computed for each draw (`ranking`, `bootstrap`), two detectors against each other (`comparison`),
which images are compared, summaries over generators, and images without a score, which the caller has removed and
counted.

Generated is positive (label 1), a higher score = more likely generated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from models.bootstrap import Estimate, Floats, Resamples, estimates
from models.ranking import auroc, quantile_bins, trace_curve

_TPR_AT = (("tpr_at_1_fpr", 0.01, 100), ("tpr_at_5_fpr", 0.05, 20))
"""Name, false-positive rate, and the photographs it takes."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of one detector on one set of images; `_low` and `_high` bound the 95% interval.

    None where it is not defined: without one of the classes; a true-positive rate (TPR) at a false-positive rate
    (FPR) for which there are fewer than 1/FPR photographs; the accuracies without verdicts; AUROC at equal
    complexity without complexity, with fewer than 20 images, or without a pair in any bin (the interval: without one
    in some draw).
    """

    n_real: int
    n_fake: int
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    auroc_equal_complexity: float | None
    auroc_equal_complexity_low: float | None
    auroc_equal_complexity_high: float | None
    average_precision: float | None
    average_precision_low: float | None
    average_precision_high: float | None
    tpr_at_1_fpr: float | None
    tpr_at_5_fpr: float | None
    tpr_at_5_fpr_low: float | None
    tpr_at_5_fpr_high: float | None
    accuracy_real: float | None
    accuracy_real_low: float | None
    accuracy_real_high: float | None
    accuracy_fake: float | None
    accuracy_fake_low: float | None
    accuracy_fake_high: float | None
    balanced_accuracy: float | None
    balanced_accuracy_low: float | None
    balanced_accuracy_high: float | None


_WITH_INTERVAL = tuple(name.removesuffix("_low") for name in Metrics.__dataclass_fields__ if name.endswith("_low"))


@dataclass(frozen=True)
class RealisedRate:
    """The share `rate` of `n` photographs with a p-value up to `nominal`, with its exact 95% interval."""

    nominal: float
    flagged: int
    n: int
    rate: float
    low: float
    high: float


def evaluate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    flagged: npt.ArrayLike | None = None,
    sources: npt.ArrayLike | None = None,
    complexity: npt.ArrayLike | None = None,
    resamples: Resamples | None = None,
) -> Metrics:
    """Compute the metrics of images (n,), with 95% percentile bootstrap intervals.

    `flagged` is the verdict at the frozen threshold, None for a detector without one. `complexity` is the mean
    absolute residual (NaN: not known), for AUROC over the pairs within a bin of it (`ranking.quantile_bins`) alone;
    every pair weighs the same, so a bin weighs by its pairs. `resamples` are the draws of these very images, where
    they serve several detectors; else they are made here, within each source of a class. Raises `ValueError` for
    arrays of different lengths, labels other than 0 and 1, and NaN scores.
    """
    drawn = Resamples(labels, sources) if resamples is None else resamples
    score = np.asarray(scores, dtype=np.float64)
    flag = None if flagged is None else np.asarray(flagged, dtype=bool)
    busy = None if complexity is None else np.asarray(complexity, dtype=np.float64)
    if not np.array_equal(drawn.labels, labels):
        raise ValueError("the resamples are those of other labels")
    if any(each is not None and each.shape != drawn.labels.shape for each in (score, flag, busy)):
        raise ValueError("labels, scores, flags and complexity are arrays of one length")
    if np.isnan(score).any():
        raise ValueError("a score is NaN; images without a score are to be left out")
    found = estimates(_measure(drawn, score, flag, busy))
    numbers: dict[str, float | None] = {}
    for name in _WITH_INTERVAL:
        estimate = found.get(name, Estimate(None, None, None))
        numbers |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    tpr_at_1_fpr = found["tpr_at_1_fpr"].value if "tpr_at_1_fpr" in found else None
    return Metrics(n_real=drawn.real.size, n_fake=drawn.fake.size, tpr_at_1_fpr=tpr_at_1_fpr, **numbers)


def _measure(
    drawn: Resamples, score: Floats, flag: npt.NDArray[np.bool_] | None, busy: Floats | None
) -> dict[str, Floats]:
    """Compute each metric that is defined, (1 + draws,)."""
    real, fake = drawn.real, drawn.fake
    values = {}
    if flag is not None and real.size:
        values["accuracy_real"] = (~flag[real]).astype(np.float64) @ drawn.real_counts / real.size
    if flag is not None and fake.size:
        values["accuracy_fake"] = flag[fake].astype(np.float64) @ drawn.fake_counts / fake.size
    if not drawn.both:
        return values
    if flag is not None:
        values["balanced_accuracy"] = (values["accuracy_real"] + values["accuracy_fake"]) / 2
    rates = {name: fpr for name, fpr, least in _TPR_AT if real.size >= least}
    curve = trace_curve(score[real], score[fake], drawn.real_counts, drawn.fake_counts, tuple(rates.values()))
    values |= {"auroc": curve.auroc, "average_precision": curve.average_precision}
    values |= dict(zip(rates, curve.tpr, strict=True))
    bins = None if busy is None else quantile_bins(busy)
    if bins is not None:
        values["auroc_equal_complexity"] = auroc(
            score[real], score[fake], drawn.real_counts, drawn.fake_counts, bins[real], bins[fake]
        )
    return values


def realised_fpr(
    p_values: npt.ArrayLike, nominal: Sequence[float] = (0.01, 0.02, 0.05, 0.1)
) -> tuple[RealisedRate, ...]:
    """Compare nominal false-positive rates with the realised share of photographs' p-values up to them.

    The interval is Clopper and Pearson's, exact for the binomial. Raises `ValueError` without p-values.
    """
    values = np.asarray(p_values, dtype=np.float64)
    n = values.size
    if n == 0 or np.isnan(values).any():
        raise ValueError("a realised rate needs at least one p-value, and none that is NaN")
    rates = []
    for rate in nominal:
        flagged = int((values <= rate).sum())
        low = 0.0 if flagged == 0 else float(betaincinv(flagged, n - flagged + 1, 0.025))
        high = 1.0 if flagged == n else float(betaincinv(flagged + 1, n - flagged, 0.975))
        rates.append(RealisedRate(rate, flagged, n, flagged / n, low, high))
    return tuple(rates)
