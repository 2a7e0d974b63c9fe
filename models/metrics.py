"""How well scores separate generated images from photographs, with bootstrap intervals.

What belongs here: metrics of labels, scores and flags. What does not: which images are compared, summaries over
generators, and images without a score, which the caller has removed and counted.

Fake is positive (label 1), a higher score = more likely generated. Everything is computed from counts at the
distinct scores, highest first, so ties are right and a bootstrap draw is only another vector of counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

Floats = npt.NDArray[np.float64]

_TAILS = (2.5, 97.5)
# Draws are taken in batches of at most so many counts, which bounds the memory.
_BATCH_CELLS = 4_000_000


@dataclass(frozen=True)
class Metrics:
    """Metrics of one detector on one set of images; `_low` and `_high` bound the 95% interval.

    None where it is not defined: without one of the classes, or a true-positive rate (TPR) at a
    false-positive rate (FPR) for which there are fewer than 1/FPR photographs.
    """

    n_real: int
    n_fake: int
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
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


@dataclass(frozen=True)
class RealisedRate:
    """The share `rate` of `n` photographs with a p-value up to `nominal`, with its exact 95% interval."""

    nominal: float
    flagged: int
    n: int
    rate: float
    low: float
    high: float


class Ranking:
    """Labels and scores of images, ready to be evaluated under many vectors of counts.

    `labels` (n,) are 0 (photograph) or 1 (generated), `scores` (n,) finite or infinite but not NaN.
    The methods take counts (draws, n), how often each image is there, and give one value a draw, (draws,).
    Every draw must hold both classes.
    """

    def __init__(self, labels: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        label, score = np.asarray(labels), np.asarray(scores, dtype=np.float64)
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        self._starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        self._fake = label[self._order].astype(np.float64)

    def curve(self, counts: npt.NDArray[np.float64]) -> "Curve":
        """Count fakes and reals at or above each distinct score, highest first, for each draw."""
        ordered = counts[:, self._order]
        fakes = ordered * self._fake
        true = np.add.reduceat(fakes, self._starts, axis=1).cumsum(axis=1)
        false = np.add.reduceat(ordered - fakes, self._starts, axis=1).cumsum(axis=1)
        return Curve(true, false)


@dataclass(frozen=True, eq=False)
class Curve:
    """Fakes `true` and reals `false` at or above each distinct score, (draws, distinct scores)."""

    true: Floats
    false: Floats

    def auroc(self) -> Floats:
        """Area under the ROC curve of each draw; a tied pair counts one half."""
        before = np.pad(self.true[:, :-1], ((0, 0), (1, 0)))
        area = ((before + self.true) / 2 * np.diff(self.false, axis=1, prepend=0)).sum(axis=1)
        return np.asarray(area / (self.true[:, -1] * self.false[:, -1]))

    def average_precision(self) -> Floats:
        """Sum of precision times gain in recall over the distinct scores of each draw, not interpolated."""
        above = self.true + self.false
        precision = np.divide(self.true, above, out=np.zeros_like(above), where=above > 0)
        gain = np.diff(self.true, axis=1, prepend=0)
        return np.asarray((precision * gain).sum(axis=1) / self.true[:, -1])

    def tpr_at(self, fpr: float) -> Floats:
        """Highest true-positive rate of a threshold with at most this false-positive rate, for each draw."""
        # The slack absorbs the rounding of rate times count, as in .05 x 60; counts are whole numbers.
        allowed = fpr * self.false[:, -1:] + 1e-9
        best = np.where(self.false <= allowed, self.true, 0).max(axis=1)
        return np.asarray(best / self.true[:, -1])


def evaluate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    flagged: npt.ArrayLike,
    sources: npt.ArrayLike | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Metrics:
    """Compute the metrics of images (n,), with 95% percentile bootstrap intervals.

    `flagged` is the verdict at the frozen threshold. The bootstrap draws images with replacement within each
    class and, where `sources` are given, within each source of a class. Raises `ValueError` for arrays of
    different lengths, labels other than 0 and 1, and NaN scores.
    """
    label, score = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    flag = np.asarray(flagged, dtype=bool)
    source = np.zeros(len(label), dtype=np.int64) if sources is None else np.asarray(sources)
    if not label.shape == score.shape == flag.shape == source.shape or label.ndim != 1:
        raise ValueError("labels, scores, flags and sources are arrays of one length")
    if not np.isin(label, (0, 1)).all():
        raise ValueError("a label is 0 (photograph) or 1 (generated)")
    if np.isnan(score).any():
        raise ValueError("a score is NaN; images without a score are to be left out")
    real, fake = label == 0, label == 1
    n_real, n_fake = int(real.sum()), int(fake.sum())
    both = n_real > 0 and n_fake > 0
    ranking = Ranking(label, score) if both else None

    def measure(counts: Floats) -> dict[str, Floats]:
        values = {}
        if n_real:
            values["accuracy_real"] = counts[:, real & ~flag].sum(axis=1) / n_real
        if n_fake:
            values["accuracy_fake"] = counts[:, fake & flag].sum(axis=1) / n_fake
        if ranking is not None:
            values["balanced_accuracy"] = (values["accuracy_real"] + values["accuracy_fake"]) / 2
            curve = ranking.curve(counts)
            values["auroc"] = curve.auroc()
            values["average_precision"] = curve.average_precision()
            for name, fpr, least in (("tpr_at_1_fpr", 0.01, 100), ("tpr_at_5_fpr", 0.05, 20)):
                if n_real >= least:
                    values[name] = curve.tpr_at(fpr)
        return values

    point = {name: float(value[0]) for name, value in measure(np.ones((1, len(label)))).items()}
    drawn = [measure(counts) for counts in _bootstrap_counts(label, source, draws, seed)]
    bounds = {name: np.percentile(np.concatenate([values[name] for values in drawn]), _TAILS) for name in point}

    def low(name: str) -> float | None:
        return float(bounds[name][0]) if name in bounds else None

    def high(name: str) -> float | None:
        return float(bounds[name][1]) if name in bounds else None

    return Metrics(
        n_real=n_real,
        n_fake=n_fake,
        auroc=point.get("auroc"),
        auroc_low=low("auroc"),
        auroc_high=high("auroc"),
        average_precision=point.get("average_precision"),
        average_precision_low=low("average_precision"),
        average_precision_high=high("average_precision"),
        tpr_at_1_fpr=point.get("tpr_at_1_fpr"),
        tpr_at_5_fpr=point.get("tpr_at_5_fpr"),
        tpr_at_5_fpr_low=low("tpr_at_5_fpr"),
        tpr_at_5_fpr_high=high("tpr_at_5_fpr"),
        accuracy_real=point.get("accuracy_real"),
        accuracy_real_low=low("accuracy_real"),
        accuracy_real_high=high("accuracy_real"),
        accuracy_fake=point.get("accuracy_fake"),
        accuracy_fake_low=low("accuracy_fake"),
        accuracy_fake_high=high("accuracy_fake"),
        balanced_accuracy=point.get("balanced_accuracy"),
        balanced_accuracy_low=low("balanced_accuracy"),
        balanced_accuracy_high=high("balanced_accuracy"),
    )


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


def _bootstrap_counts(
    labels: npt.NDArray[np.int64], sources: npt.NDArray[np.generic], draws: int, seed: int
) -> Iterator[Floats]:
    """Draw how often each image is in each bootstrap sample: batches (some, n), `draws` rows in all."""
    rng = np.random.default_rng(seed)
    n = len(labels)
    _, source_codes = np.unique(sources, return_inverse=True)
    strata = [
        np.flatnonzero((labels == label) & (source_codes == code))
        for label in (0, 1)
        for code in np.unique(source_codes[labels == label])
    ]
    batch = max(1, min(draws, _BATCH_CELLS // max(n, 1)))
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        offsets = np.arange(size)[:, None] * n
        counts = np.zeros(size * n, dtype=np.int64)
        for members in strata:
            chosen = members[rng.integers(len(members), size=(size, len(members)))]
            counts += np.bincount((chosen + offsets).ravel(), minlength=size * n)
        yield counts.reshape(size, n).astype(np.float64)
