from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.ranking import auroc, quantile_bins, trace_curve

STEADY = settings(deadline=None, derandomize=True, max_examples=60)

Floats = npt.NDArray[np.float64]
Case = tuple[Floats, Floats, Floats, Floats]


@st.composite
def _weighted(draw: st.DrawFn) -> Case:
    """Scores of both classes with many ties, and counts (n, 2) that leave neither class empty; the second are 1."""
    scores, counts = [], []
    for _ in range(2):
        n = draw(st.integers(1, 25))
        values = st.integers(-4, 4).map(float) | st.sampled_from([-np.inf, np.inf])
        scores.append(np.array(draw(st.lists(values, min_size=n, max_size=n))))
        drawn = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
        drawn[0] = max(drawn[0], 1)
        counts.append(np.stack((drawn, np.ones(n)), axis=1).astype(np.float64))
    return scores[0], scores[1], counts[0], counts[1]


def _together(case: Case, draw: int) -> tuple[Floats, Floats, Floats]:
    real, fake, reals, fakes = case
    labels = np.repeat([0.0, 1.0], [len(real), len(fake)])
    # scikit-learn takes no infinite scores; the order is the same.
    scores = np.clip(np.concatenate((real, fake)), -9, 9)
    return labels, scores, np.concatenate((reals[:, draw], fakes[:, draw]))


@STEADY
@given(_weighted(), st.sampled_from([0.01, 0.05, 0.25, 0.5]))
def test_agrees_with_scikit_learn_under_counts_and_ties(case: Case, fpr: float) -> None:
    curve = trace_curve(*case, (fpr, 1.0))
    for draw in range(2):
        labels, scores, weights = _together(case, draw)
        area = roc_auc_score(labels, scores, sample_weight=weights)
        precision = average_precision_score(labels, scores, sample_weight=weights)
        false, true, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
        assert curve.auroc[draw] == pytest.approx(area, abs=1e-12)
        assert auroc(*case)[draw] == curve.auroc[draw]
        assert curve.average_precision[draw] == pytest.approx(precision, abs=1e-12)
        assert curve.tpr[0][draw] == pytest.approx(true[false <= fpr + 1e-12].max(), abs=1e-12)
        assert curve.tpr[1][draw] == 1


@STEADY
@given(_weighted())
def test_counts_are_the_same_as_repeated_images(case: Case) -> None:
    real, fake, reals, fakes = case
    repeats = reals[:, 0].astype(int), fakes[:, 0].astype(int)
    real_ones, fake_ones = (np.ones((each.sum(), 1)) for each in repeats)
    repeated = trace_curve(np.repeat(real, repeats[0]), np.repeat(fake, repeats[1]), real_ones, fake_ones, (0.2,))
    counted = trace_curve(*case, (0.2,))
    assert repeated.auroc[0] == counted.auroc[0]
    assert repeated.average_precision[0] == pytest.approx(counted.average_precision[0], abs=1e-12)
    assert repeated.tpr[0][0] == counted.tpr[0][0]


@STEADY
@given(_weighted())
def test_reversed_scores_mirror_the_area(case: Case) -> None:
    real, fake, reals, fakes = case
    both = trace_curve(*case).auroc + auroc(-real, -fake, reals, fakes)
    assert both == pytest.approx(np.ones(2), abs=1e-12)


@STEADY
@given(_weighted(), st.integers(1, 4), st.integers(0, 9))
def test_within_bins_only_pairs_of_one_bin_count(case: Case, bins: int, seed: int) -> None:
    real, fake, reals, fakes = case
    rng = np.random.default_rng(seed)
    real_bins, fake_bins = rng.integers(-1, bins, len(real)), rng.integers(-1, bins, len(fake))
    right, pairs = np.zeros(2), np.zeros(2)
    for i, j in product(range(len(real)), range(len(fake))):
        if real_bins[i] == fake_bins[j] >= 0:
            weight = reals[i] * fakes[j]
            pairs += weight
            right += weight * (1.0 if fake[j] > real[i] else 0.5 if fake[j] == real[i] else 0.0)
    found = auroc(*case, real_bins, fake_bins)
    assert np.isnan(found).tolist() == (pairs == 0).tolist()
    assert found[pairs > 0] == pytest.approx(right[pairs > 0] / pairs[pairs > 0], abs=1e-12)


def test_many_draws_are_computed_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=40).round(1), rng.normal(size=30).round(1)
    reals, fakes = (1 + rng.poisson(1, (n, 33)).astype(np.float64) for n in (40, 30))
    whole = trace_curve(real, fake, reals, fakes, (0.05,))
    for draw in range(33):
        alone = trace_curve(real, fake, reals[:, [draw]], fakes[:, [draw]], (0.05,))
        assert alone.auroc[0] == whole.auroc[draw]
        assert alone.average_precision[0] == whole.average_precision[draw]
        assert alone.tpr[0][0] == whole.tpr[0][draw]


def test_bins_are_even_quantiles_and_fewer_where_images_are_few() -> None:
    rng = np.random.default_rng(0)
    for n, bins in ((20, 2), (39, 3), (99, 9), (100, 10), (1234, 10)):
        values = rng.gamma(2, size=n)
        found = quantile_bins(values)
        assert found is not None
        sizes = np.bincount(found)
        assert len(sizes) == bins
        assert sizes.max() - sizes.min() <= 1
        assert (np.diff(found[np.argsort(values)]) >= 0).all()
    assert quantile_bins(np.arange(19)) is None
    assert quantile_bins(np.full(30, np.nan)) is None


def test_equal_values_share_a_bin_and_unknown_ones_have_none() -> None:
    values = np.array([1.0] * 30 + [2.0] * 12 + [np.nan] * 5)
    found = quantile_bins(values)
    assert found is not None
    assert len(set(found[:30])) == len(set(found[30:42])) == 1
    assert found[0] != found[30]
    assert (found[42:] == -1).all()
