"""Ranking metrics of many resamples at once: AUROC, average precision, true-positive rate, and AUROC within bins.

What belongs here: statistics of the order of scores, given how often each image counts. What does not: how images
are drawn (`bootstrap`), and which metrics are reported (`metrics`).

Images are ordered once; the curve is then walked from the highest score down with one vector over all draws for each
running sum. Such a vector stays in the processor's cache, where matrices (images, draws) would not. The sums are of
whole and half numbers in float64, so they are exact, and no value depends on which draws are computed together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_BINS = 10
IMAGES_A_BIN = 10

# Stands for no photographs so far: lost in any sum with a count, and 0 / _NOTHING is 0, where 0 / 0 is not.
_NOTHING = 1e-200


@dataclass(frozen=True, eq=False)
class Curve:
    """What a ROC curve is worth, each (draws,); `tpr` at each rate that was asked for."""

    auroc: Floats
    average_precision: Floats
    tpr: tuple[Floats, ...]


def trace_curve(
    real_scores: Floats, fake_scores: Floats, real_counts: Floats, fake_counts: Floats, rates: Sequence[float] = ()
) -> Curve:
    """Trace the ROC curve of photographs (n_real,) and generated images (n_fake,) for each draw.

    Counts (n_real, draws) and (n_fake, draws) are whole numbers, and every draw holds both classes; no score is NaN.
    A tied pair counts one half in AUROC. Average precision is the sum of precision times gain in recall over the
    distinct scores, not interpolated. The true-positive rate at a false-positive rate is the highest of a threshold
    with at most this rate.
    """
    draws = real_counts.shape[1]
    reals, fakes = real_counts.sum(axis=0), fake_counts.sum(axis=0)
    # The slack absorbs the rounding of rate times count, as in .05 x 60.
    limits = [(rate * reals + 1e-9, np.zeros(draws)) for rate in rates]
    reached = [best for _, best in limits]
    false, true, wrong = np.full(draws, _NOTHING), np.zeros(draws), np.zeros(draws)
    precision, term = np.zeros(draws), np.empty(draws)
    everything = np.arange(len(real_scores)), np.arange(len(fake_scores))
    for real_group, fake_group in _descending(real_scores, fake_scores, *everything):
        weight = _weight(fake_counts, fake_group)
        _pass(real_group, weight, real_counts, false, wrong, term)
        if weight is None:
            continue
        true += weight
        np.add(true, false, out=term)
        np.divide(true, term, out=term)
        term *= weight
        precision += term
        for limit in tuple(limits):
            allowed, best = limit
            within = false <= allowed
            np.copyto(best, true, where=within)
            if not within.any():
                limits = [other for other in limits if other is not limit]
    tpr = tuple(best / fakes for best in reached)
    return Curve(1 - wrong / (reals * fakes), precision / fakes, tpr)


def auroc(
    real_scores: Floats,
    fake_scores: Floats,
    real_counts: Floats,
    fake_counts: Floats,
    real_bins: Integers | None = None,
    fake_bins: Integers | None = None,
) -> Floats:
    """Share of pairs of a photograph and a generated image in the right order, (draws,); a tied pair counts one half.

    With bins (n_real,) and (n_fake,), whole numbers, only pairs of one bin count, and a negative bin is none. NaN where
    a draw has no pair. Counts and scores as for `trace_curve`.
    """
    real_bin = np.zeros(len(real_scores), np.int64) if real_bins is None else real_bins
    fake_bin = np.zeros(len(fake_scores), np.int64) if fake_bins is None else fake_bins
    bins = np.intersect1d(real_bin[real_bin >= 0], fake_bin)[:, None]
    pairs = (((real_bin == bins) @ real_counts) * ((fake_bin == bins) @ fake_counts)).sum(axis=0)
    wrong, term = np.zeros_like(pairs), np.empty_like(pairs)
    for number in bins:
        false = np.zeros_like(pairs)
        real, fake = np.flatnonzero(real_bin == number), np.flatnonzero(fake_bin == number)
        for real_group, fake_group in _descending(real_scores, fake_scores, real, fake):
            _pass(real_group, _weight(fake_counts, fake_group), real_counts, false, wrong, term)
    return np.asarray(1 - np.divide(wrong, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0))


def quantile_bins(values: npt.ArrayLike) -> Integers | None:
    """Bin (n,) of each value by the quantiles of all: 10 bins, fewer where one would hold fewer than 10 images.

    Equal values share a bin. NaN, a value that is not known, gets -1. None with fewer than 20 values: one bin matches
    nothing.
    """
    value = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(value)
    bins = min(MOST_BINS, int(known.sum()) // IMAGES_A_BIN)
    if bins < 2:
        return None
    edges = np.quantile(value[known], np.arange(1, bins) / bins)
    return np.where(known, np.searchsorted(edges, value, side="right"), -1)


def _descending(
    real_scores: Floats, fake_scores: Floats, real: Integers, fake: Integers
) -> Iterator[tuple[list[int], list[int]]]:
    """Of these photographs and generated images, by number, those of each distinct score, highest first."""
    scores = np.concatenate((real_scores[real], fake_scores[fake]))
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    images, is_real = np.concatenate((real, fake))[order].tolist(), (order < len(real)).tolist()
    for start, end in pairwise((*starts.tolist(), len(images))):
        group, kind = images[start:end], is_real[start:end]
        yield list(compress(group, kind)), [image for image, real in zip(group, kind, strict=True) if not real]


def _weight(counts: Floats, group: list[int]) -> Floats | None:
    """How often the images of a group count together, (draws,); None for no images."""
    if len(group) == 1:
        return np.asarray(counts[group[0]])
    return np.asarray(counts[group].sum(axis=0)) if group else None


def _pass(
    real_group: list[int], weight: Floats | None, real_counts: Floats, false: Floats, wrong: Floats, term: Floats
) -> None:
    """Go past the images of one score: add its photographs to `false`, and its pairs in the wrong order to `wrong`.

    `weight` counts its generated images: they lose against every photograph above them, and half against their equals.
    `term` is written over.
    """
    if weight is None or not real_group:
        for image in real_group:
            false += real_counts[image]
        if weight is not None:
            np.multiply(weight, false, out=term)
            wrong += term
        return
    np.copyto(term, false)
    for image in real_group:
        false += real_counts[image]
    term += false
    term *= weight
    term /= 2
    wrong += term
