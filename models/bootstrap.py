"""Bootstrap: how often each image is in each resample, drawn once for a set of images and used for all its scores.

What belongs here: drawing within strata, and percentile intervals. What does not: the statistics that are resampled
(`ranking`, `metrics`, `comparison`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 2000
_TAILS = (2.5, 97.5)
# Random numbers drawn at once, which bounds the memory.
_DRAWN_CELLS = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A value, and the ends of its 95% percentile interval; None where they are not defined."""

    value: float | None
    low: float | None
    high: float | None


class Resamples:
    """The bootstrap resamples of one set of images: `real_counts` (n_real, 1 + draws), `fake_counts` (n_fake, ...).

    `labels` (n,) are 0 (photograph) or 1 (generated). Images are drawn with replacement within each class and, where
    `sources` (n,) are given, within each source of a class. Column 0 counts each image once: the sample itself. The
    counts, whole numbers as float64, depend on the order of the images, on the strata and on `seed` alone; whatever is
    computed from one `Resamples` is paired. ValueError for other labels, and arrays of different lengths.
    """

    def __init__(
        self, labels: npt.ArrayLike, sources: npt.ArrayLike | None = None, draws: int = DRAWS, seed: int = 0
    ) -> None:
        label = np.asarray(labels)
        source = np.zeros(len(label), dtype=np.int64) if sources is None else np.asarray(sources)
        if label.ndim != 1 or label.shape != source.shape:
            raise ValueError("labels and sources are arrays of one length")
        if not np.isin(label, (0, 1)).all():
            raise ValueError("a label is 0 (photograph) or 1 (generated)")
        self.labels = label
        self.real, self.fake = np.flatnonzero(label == 0), np.flatnonzero(label == 1)
        self.real_counts = _counts(source[self.real], draws, (seed, 0))
        self.fake_counts = _counts(source[self.fake], draws, (seed, 1))

    @property
    def both(self) -> bool:
        """Whether there are images of both classes."""
        return self.real.size > 0 and self.fake.size > 0


def estimates(values: dict[str, Floats]) -> dict[str, Estimate]:
    """Value and interval of statistics (1 + draws,), of which the first is that of the sample itself.

    A statistic that is NaN has no value; one that is NaN in any draw has no interval.
    """
    if not values:
        return {}
    table = np.stack(list(values.values()))
    low, high = np.percentile(table[:, 1:], _TAILS, axis=1) if table.shape[1] > 1 else np.full((2, len(table)), np.nan)
    return {
        name: Estimate(*(None if np.isnan(number) else float(number) for number in numbers))
        for name, *numbers in zip(values, table[:, 0], low, high, strict=True)
    }


def _counts(sources: npt.NDArray[np.generic], draws: int, seed: tuple[int, int]) -> Floats:
    """Count how often each image (n,) is in each draw, (n, 1 + draws), drawn within each source."""
    _, codes, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    counts = np.ones((len(sources), 1 + draws))
    for code, size in enumerate(sizes):
        rng = np.random.default_rng((*seed, code))
        members = np.flatnonzero(codes == code)
        step = max(1, _DRAWN_CELLS // int(size))
        for start in range(0, draws, step):
            rows = min(step, draws - start)
            chosen = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
            drawn = np.bincount(chosen.ravel(), minlength=rows * size).reshape(rows, size)
            counts[members, 1 + start : 1 + start + rows] = drawn.T
    return counts
