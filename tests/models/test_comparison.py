from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from models.bootstrap import Resamples
from models.comparison import compare, compare_pairs, delong_p_value

Floats = npt.NDArray[np.float64]


def _direct(labels: Floats, a: Floats, b: Floats) -> float:
    """DeLong, DeLong and Clarke-Pearson (1988), by all pairs: covariance of the structural components."""
    components = []
    for scores in (a, b):
        real, fake = scores[labels == 0], scores[labels == 1]
        kernel = np.zeros((len(fake), len(real)))
        for j, i in product(range(len(fake)), range(len(real))):
            kernel[j, i] = 1.0 if fake[j] > real[i] else 0.5 if fake[j] == real[i] else 0.0
        components.append(kernel)
    areas = [kernel.mean() for kernel in components]
    of_fakes = np.cov([kernel.mean(axis=1) for kernel in components]) / components[0].shape[0]
    of_reals = np.cov([kernel.mean(axis=0) for kernel in components]) / components[0].shape[1]
    covariance = of_fakes + of_reals
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return float(2 * norm.sf(abs(areas[0] - areas[1]) / np.sqrt(variance)))


def _case(seed: int, n: int = 60, digits: int = 1) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < rng.integers(5, n - 5)).astype(np.float64)
    shared = rng.normal(size=n)
    a = (shared + rng.normal(size=n) + labels).round(digits)
    b = (shared + rng.normal(size=n) + rng.random() * labels).round(digits)
    return labels, a, b


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_delong_is_that_of_the_direct_formula(digits: int) -> None:
    for seed in range(40):
        labels, a, b = _case(seed, digits=digits)
        found = delong_p_value(labels, a, b)
        assert found == pytest.approx(_direct(labels, a, b), rel=1e-9)
        assert found == delong_p_value(labels, b, a)


def test_delong_without_variance() -> None:
    labels = np.repeat([0, 1], [6, 5])
    apart = labels + np.arange(11) / 100
    assert delong_p_value(labels, apart, apart) == 1
    assert delong_p_value(labels, apart, np.exp(apart)) == 1
    assert delong_p_value(labels, apart, -apart) == 0
    random = np.random.default_rng(0).random(11)
    assert delong_p_value(labels, random, 3 * random) == 1
    assert delong_p_value([0, 0, 1], random[:3], random[3:6]) is None


def test_delong_rejects_as_often_as_it_says_when_nothing_differs() -> None:
    rejected = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 50)
        shared = rng.normal(size=100) + labels
        p_value = delong_p_value(labels, shared + rng.normal(size=100), shared + rng.normal(size=100))
        assert p_value is not None
        rejected += p_value <= 0.05
    assert 12 <= rejected <= 48


def test_difference_and_interval_are_those_of_a_plain_paired_bootstrap() -> None:
    labels, a, b = _case(3, n=120)
    sources = np.arange(120) % 3
    drawn = Resamples(labels, sources, draws=100)
    found = compare(labels, a, b, resamples=drawn)
    assert (found.n_real, found.n_fake) == ((labels == 0).sum(), (labels == 1).sum())
    assert found.difference == pytest.approx(roc_auc_score(labels, a) - roc_auc_score(labels, b), abs=1e-12)
    differences = []
    for draw in range(1, 101):
        weights = np.empty(120)
        weights[drawn.real], weights[drawn.fake] = drawn.real_counts[:, draw], drawn.fake_counts[:, draw]
        differences.append(
            roc_auc_score(labels, a, sample_weight=weights) - roc_auc_score(labels, b, sample_weight=weights)
        )
    expected = np.percentile(differences, [2.5, 97.5])
    assert [found.difference_low, found.difference_high] == pytest.approx(expected, abs=1e-12)
    assert found.p_value == delong_p_value(labels, a, b)
    assert compare(labels, a, b, sources) == compare(labels, a, b, resamples=Resamples(labels, sources))


def test_many_pairs_are_compared_as_each_alone() -> None:
    labels, a, b = _case(7)
    _, c, _ = _case(8)
    drawn = Resamples(labels)
    scores = {1: a, 2: b, 3: c}
    pairs = [(1, 2), (3, 1), (2, 2)]
    found = compare_pairs(drawn, scores, pairs)
    assert found == [compare(labels, scores[first], scores[second]) for first, second in pairs]


def test_pairing_narrows_the_interval_of_detectors_that_agree() -> None:
    labels, a, _ = _case(5, n=200)
    same = compare(labels, a, a + 1)
    assert (same.difference, same.difference_low, same.difference_high, same.p_value) == (0, 0, 0, 1)


def test_none_where_it_is_not_defined_and_nonsense_is_refused() -> None:
    alone = compare([1, 1], [1, 2], [2, 1])
    assert (alone.n_real, alone.n_fake, alone.difference, alone.p_value) == (0, 2, None, None)
    assert compare([0, 1, 1], [0, 1, 2], [2, 1, 0]).p_value is None
    with pytest.raises(ValueError, match="NaN"):
        compare([0, 1], [0, 1], [0, np.nan])
    with pytest.raises(ValueError, match="one length"):
        compare([0, 1], [0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="other labels"):
        compare([0, 1], [0, 1], [0, 1], resamples=Resamples([1, 0]))
