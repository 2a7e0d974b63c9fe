import time

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.bootstrap import Resamples
from models.metrics import evaluate, realised_fpr

Floats = npt.NDArray[np.float64]


def _reference_tpr(labels: object, scores: object, weights: object, fpr: float) -> float:
    false, true, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return float(true[false <= fpr + 1e-12].max())


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


def test_intervals_are_those_of_a_plain_bootstrap_with_the_same_draws() -> None:
    labels, scores = _images(150)
    flagged, sources = scores > 1, np.arange(150) % 3
    complexity = np.random.default_rng(1).gamma(2, size=150)
    drawn = Resamples(labels, sources, draws=200)
    found = evaluate(labels, scores, flagged, complexity=complexity, resamples=drawn)
    edges = np.quantile(complexity, np.arange(1, 10) / 10)
    bins = (complexity[:, None] >= edges).sum(axis=1)
    plain: dict[str, list[float]] = {}
    for draw in range(1, 201):
        weights = np.empty(150)
        weights[drawn.real], weights[drawn.fake] = drawn.real_counts[:, draw], drawn.fake_counts[:, draw]
        repeats = weights.astype(int)
        label, score, flag, bin_ = (np.repeat(each, repeats) for each in (labels, scores, flagged, bins))
        real, fake = label == 0, label == 1
        accuracies = (~flag[real]).mean(), flag[fake].mean()
        better = (score[fake][:, None] > score[real]) + (score[fake][:, None] == score[real]) / 2
        matched = bin_[fake][:, None] == bin_[real]
        values = {
            "auroc": roc_auc_score(label, score),
            "auroc_equal_complexity": better[matched].mean(),
            "average_precision": average_precision_score(label, score),
            "tpr_at_5_fpr": _reference_tpr(label, score, None, 0.05),
            "accuracy_real": accuracies[0],
            "accuracy_fake": accuracies[1],
            "balanced_accuracy": sum(accuracies) / 2,
        }
        for name, value in values.items():
            plain.setdefault(name, []).append(float(value))
    for name, expected in plain.items():
        bounds = [getattr(found, f"{name}_low"), getattr(found, f"{name}_high")]
        assert bounds == pytest.approx(np.percentile(expected, [2.5, 97.5]), abs=1e-12), name


def test_interval_of_an_accuracy_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        flagged = rng.random(100) < 0.7
        found = evaluate(
            np.ones(100), flagged.astype(float), flagged, resamples=Resamples(np.ones(100), draws=300, seed=trial)
        )
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


def test_the_same_images_have_the_same_draws() -> None:
    labels, scores = _images(60)
    first = evaluate(labels, scores, scores > 1)
    assert evaluate(labels, scores, scores > 1) == first
    assert evaluate(labels, scores, scores > 1, resamples=Resamples(labels)) == first
    assert evaluate(labels, scores, scores > 1, resamples=Resamples(labels, seed=4)) != first


def test_complexity_that_gives_the_label_away_is_no_merit() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 500)
    complexity = rng.gamma(4, size=1000) + 1.5 * labels
    knowing = complexity + 3 * labels
    by_complexity = evaluate(labels, complexity, complexity=complexity)
    assert by_complexity.auroc is not None
    assert by_complexity.auroc > 0.68
    matched, low = by_complexity.auroc_equal_complexity, by_complexity.auroc_equal_complexity_low
    assert matched == pytest.approx(0.5, abs=0.06)
    assert matched is not None
    assert low is not None
    assert low < matched
    found = evaluate(labels, knowing, complexity=complexity).auroc_equal_complexity
    assert found is not None
    assert found > 0.9


def test_equal_complexity_needs_pairs_of_known_complexity() -> None:
    labels, scores = np.arange(40) % 2, np.arange(40.0)
    complexity = np.random.default_rng(0).random(40)
    assert evaluate(labels, scores).auroc_equal_complexity is None
    assert evaluate(labels[:19], scores[:19], complexity=complexity[:19]).auroc_equal_complexity is None
    apart = evaluate(labels, scores, complexity=labels)
    assert apart.auroc is not None
    assert apart.auroc_equal_complexity is apart.auroc_equal_complexity_low is None
    # One pair alone can be compared; some draws lack it, so it has no interval.
    one = evaluate(labels, scores, complexity=np.where(np.arange(40) == 0, 1, labels))
    assert one.auroc_equal_complexity == 1
    assert one.auroc_equal_complexity_low is one.auroc_equal_complexity_high is None
    unknown = np.where(np.arange(40) < 10, np.nan, complexity)
    known = evaluate(labels[10:], scores[10:], complexity=complexity[10:])
    assert evaluate(labels, scores, complexity=unknown).auroc_equal_complexity == known.auroc_equal_complexity


def test_without_verdicts_there_are_no_accuracies() -> None:
    labels, scores = _images(120)
    found, with_verdicts = evaluate(labels, scores), evaluate(labels, scores, scores > 1)
    assert found.accuracy_real is found.accuracy_fake is found.balanced_accuracy is None
    assert found.accuracy_real_low is found.accuracy_fake_high is found.balanced_accuracy_low is None
    assert (found.auroc, found.auroc_low) == (with_verdicts.auroc, with_verdicts.auroc_low)
    assert found.tpr_at_5_fpr == with_verdicts.tpr_at_5_fpr


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
    with pytest.raises(ValueError, match="one length"):
        evaluate([0, 1], [0.0, 1.0], complexity=[1.0])
    with pytest.raises(ValueError, match="other labels"):
        evaluate([0, 1], [0.0, 1.0], resamples=Resamples([1, 1]))


def test_429_images_and_2000_draws_take_well_under_a_second() -> None:
    labels, scores = _images()
    drawn = Resamples(labels, np.arange(429) % 12)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        evaluate(labels, scores, scores > 1, complexity=np.arange(429), resamples=drawn)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2


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
