import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.metrics import Ranking, evaluate, realised_fpr

STEADY = settings(deadline=None, derandomize=True)

Floats = npt.NDArray[np.float64]


@st.composite
def _weighted(draw: st.DrawFn) -> tuple[list[int], list[float], list[int]]:
    """Draw labels of both classes, scores with many ties, and counts that leave neither class empty."""
    n = draw(st.integers(2, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    scores = draw(st.lists(st.integers(-4, 4).map(float), min_size=n, max_size=n))
    counts = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    labels[0], labels[1], counts[0], counts[1] = 0, 1, max(counts[0], 1), max(counts[1], 1)
    return labels, scores, counts


def _reference_tpr(labels: object, scores: object, weights: object, fpr: float) -> float:
    false, true, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(true[false <= fpr + 1e-12].max())


@STEADY
@given(_weighted(), st.sampled_from([0.01, 0.05, 0.25, 0.5]))
def test_agrees_with_scikit_learn_under_counts_and_ties(
    case: tuple[list[int], list[float], list[int]], fpr: float
) -> None:
    labels, scores, counts = case
    curve = Ranking(labels, scores).curve(np.array([counts, np.ones(len(counts))], dtype=np.float64))
    for row, weights in enumerate((counts, None)):
        assert curve.auroc()[row] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
        assert curve.average_precision()[row] == pytest.approx(
            average_precision_score(labels, scores, sample_weight=weights)
        )
        assert curve.tpr_at(fpr)[row] == pytest.approx(_reference_tpr(labels, scores, weights, fpr))


@STEADY
@given(_weighted())
def test_counts_are_the_same_as_repeated_images(case: tuple[list[int], list[float], list[int]]) -> None:
    labels, scores, counts = case
    counted = Ranking(labels, scores).curve(np.array([counts], dtype=np.float64))
    repeated = Ranking(np.repeat(labels, counts), np.repeat(scores, counts)).curve(np.ones((1, sum(counts))))
    assert counted.auroc()[0] == pytest.approx(repeated.auroc()[0])
    assert counted.average_precision()[0] == pytest.approx(repeated.average_precision()[0])
    assert counted.tpr_at(0.2)[0] == pytest.approx(repeated.tpr_at(0.2)[0])


@STEADY
@given(_weighted())
def test_reversed_scores_mirror_the_area(case: tuple[list[int], list[float], list[int]]) -> None:
    labels, scores, _ = case
    ones = np.ones((1, len(labels)))
    forward = Ranking(labels, scores).curve(ones).auroc()[0]
    backward = Ranking(labels, -np.array(scores)).curve(ones).auroc()[0]
    assert forward + backward == pytest.approx(1)


def _images(n: int = 429, seed: int = 0) -> tuple[npt.NDArray[np.int64], Floats]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.65).astype(np.int64)
    return labels, np.round(rng.normal(size=n) + labels, 1)


def test_evaluate_against_scikit_learn() -> None:
    labels, scores = _images()
    flagged = scores > 1.6
    found = evaluate(labels, scores, flagged)
    assert (found.n_real, found.n_fake) == ((labels == 0).sum(), (labels == 1).sum())
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores))
    assert found.average_precision == pytest.approx(average_precision_score(labels, scores))
    assert found.tpr_at_1_fpr == pytest.approx(_reference_tpr(labels, scores, None, 0.01))
    assert found.tpr_at_5_fpr == pytest.approx(_reference_tpr(labels, scores, None, 0.05))
    assert found.accuracy_real == pytest.approx((~flagged[labels == 0]).mean())
    assert found.accuracy_fake == pytest.approx(flagged[labels == 1].mean())
    assert found.accuracy_real is not None
    assert found.accuracy_fake is not None
    assert found.balanced_accuracy == pytest.approx((found.accuracy_real + found.accuracy_fake) / 2)


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    labels, scores = _images(200)
    found = evaluate(labels, scores, scores > 1, draws=2000)
    rng = np.random.default_rng(5)
    real, fake = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    areas, precisions, hits = [], [], []
    for _ in range(600):
        chosen = np.concatenate([rng.choice(real, len(real)), rng.choice(fake, len(fake))])
        areas.append(roc_auc_score(labels[chosen], scores[chosen]))
        precisions.append(average_precision_score(labels[chosen], scores[chosen]))
        hits.append((scores[chosen][len(real) :] > 1).mean())
    for low, high, plain in (
        (found.auroc_low, found.auroc_high, areas),
        (found.average_precision_low, found.average_precision_high, precisions),
        (found.accuracy_fake_low, found.accuracy_fake_high, hits),
    ):
        assert [low, high] == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.015)


def test_interval_of_an_accuracy_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        flagged = rng.random(100) < 0.7
        found = evaluate(np.ones(100), flagged.astype(float), flagged, draws=300, seed=trial)
        assert found.accuracy_fake_low is not None
        assert found.accuracy_fake_high is not None
        covered += found.accuracy_fake_low <= 0.7 <= found.accuracy_fake_high
    assert 270 <= covered <= 297


def test_drawing_within_sources_keeps_differences_between_sources_out() -> None:
    rng = np.random.default_rng(0)
    sources = np.repeat(["easy", "hard"], 100)
    labels = np.tile([0, 1], 100)
    flagged = (sources == "easy") ^ (labels == 0)
    scores = rng.normal(size=200)
    mixed = evaluate(labels, scores, flagged)
    within = evaluate(labels, scores, flagged, sources)
    assert mixed.accuracy_fake_low is not None
    assert mixed.accuracy_fake_low < 0.45
    assert within.accuracy_fake_low == within.accuracy_fake_high == within.accuracy_fake == 0.5


def test_is_seeded_and_batches_do_not_lose_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores = _images(60)
    first = evaluate(labels, scores, scores > 1, draws=500, seed=3)
    assert evaluate(labels, scores, scores > 1, draws=500, seed=3) == first
    assert evaluate(labels, scores, scores > 1, draws=500, seed=4) != first
    monkeypatch.setattr("models.metrics._BATCH_CELLS", 60 * 7)
    batched = evaluate(labels, scores, scores > 1, draws=500, seed=3)
    assert batched.auroc == first.auroc
    assert batched.auroc_low == pytest.approx(first.auroc_low, abs=0.05)


def test_none_where_it_is_not_defined() -> None:
    reals = evaluate([0, 0, 0], [1, 2, 3], [False, False, True])
    assert (reals.n_real, reals.n_fake) == (3, 0)
    assert reals.accuracy_real == pytest.approx(2 / 3)
    assert reals.auroc is reals.average_precision is reals.balanced_accuracy is reals.accuracy_fake is None
    assert reals.auroc_low is reals.tpr_at_5_fpr_high is reals.balanced_accuracy_low is None
    fakes = evaluate([1, 1], [1, 2], [True, True])
    assert fakes.accuracy_fake == fakes.accuracy_fake_low == 1
    assert fakes.accuracy_real is fakes.auroc is None
    assert evaluate([], [], []).n_real == 0
    for n, at_5, at_1 in ((19, False, False), (20, True, False), (99, True, False), (100, True, True)):
        found = evaluate([0] * n + [1], np.arange(n + 1), np.zeros(n + 1))
        assert (found.tpr_at_5_fpr is not None, found.tpr_at_1_fpr is not None) == (at_5, at_1)
        assert found.auroc == 1


def test_all_tied_scores_tell_nothing() -> None:
    labels = np.arange(200) % 2
    found = evaluate(labels, np.zeros(200), np.zeros(200))
    assert found.auroc == found.auroc_low == found.auroc_high == 0.5
    assert found.average_precision == 0.5
    assert found.tpr_at_5_fpr == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        evaluate([0, 1], [0.0, np.nan], [False, True])
    with pytest.raises(ValueError, match="label"):
        evaluate([0, 2], [0.0, 1.0], [False, True])
    with pytest.raises(ValueError, match="one length"):
        evaluate([0, 1], [0.0, 1.0], [False])


def test_429_images_and_2000_draws_take_well_under_a_second() -> None:
    labels, scores = _images()
    sources = np.arange(429) % 12
    times = []
    for _ in range(3):
        start = time.perf_counter()
        evaluate(labels, scores, scores > 1, sources)
        times.append(time.perf_counter() - start)
    assert min(times) < 1


def test_realised_rates_with_exact_intervals() -> None:
    p_values = np.concatenate([np.full(3, 0.01), np.full(4, 0.05), np.full(93, 0.5)])
    rates = realised_fpr(p_values, (0.001, 0.01, 0.05, 0.9))
    assert [(rate.nominal, rate.flagged, rate.n) for rate in rates] == [
        (0.001, 0, 100),
        (0.01, 3, 100),
        (0.05, 7, 100),
        (0.9, 100, 100),
    ]
    for rate in rates:
        exact = binomtest(rate.flagged, rate.n).proportion_ci(0.95, "exact")
        assert rate.rate == rate.flagged / rate.n
        assert (rate.low, rate.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert [rate.nominal for rate in realised_fpr(p_values)] == [0.01, 0.02, 0.05, 0.1]
    with pytest.raises(ValueError, match="at least one"):
        realised_fpr([])
