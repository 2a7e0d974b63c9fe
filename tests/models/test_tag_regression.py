"""The regression of tags on statistics: against generalised least squares written out, and what an effect is for."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from models.plausibility import Claimed
from models.pretext import CATEGORICAL, RANKED, TAGS, Vocabulary
from models.tag_regression import TagRegression, fit_tags, outputs_of, split_outputs, widths

VOCABULARY = Vocabulary({**dict.fromkeys(CATEGORICAL, ("a", "b", "c")), "flash": ()})
WIDTH = 3 * 6 + 1 + 7


def photographs(
    count: int = 60, features: int = 8, seed: int = 0
) -> tuple[npt.NDArray[np.float64], list[dict[str, object]], npt.NDArray[np.str_]]:
    """Statistics, claims that go with the first two of them, and six sources."""
    rng = np.random.default_rng(seed)
    statistics = rng.normal(size=(count, features))
    rows: list[dict[str, object]] = [
        {"iso": float(100 * 2**iso), "make": "abc"[int(np.clip(make + 1.5, 0, 2))]}
        for iso, make in statistics[:, :2] + rng.normal(0, 0.3, (count, 2))
    ]
    return statistics, rows, np.array([f"source {number % 6}" for number in range(count)])


def fitted(rows: list[dict[str, object]], statistics: npt.NDArray[np.float64], groups: object) -> TagRegression:
    return fit_tags(statistics, Claimed.of(rows, VOCABULARY), np.asarray(groups), VOCABULARY)


def test_it_is_the_best_linear_prediction_of_a_mixed_model() -> None:
    statistics, rows, groups = photographs()
    new = photographs(count=10, seed=1)[0]
    # Written out: regression and sources' effects as normal variables, whose covariance of the wanted values is known.
    mean, deviation = statistics.mean(axis=0), statistics.std(axis=0)
    known, asked = ((each - mean) / deviation for each in (statistics, new))
    wanted = ndtri((rankdata([row["iso"] for row in rows]) - 0.5) / len(rows))
    covariance = known @ known.T / 8 + np.eye(len(rows)) + 0.3 * (groups[:, None] == groups)
    inverse = np.linalg.inv(covariance)
    constant = inverse.sum(axis=0) @ wanted / inverse.sum()
    expected = constant + asked @ known.T / 8 @ inverse @ (wanted - constant)
    found = outputs_of(fitted(rows, statistics, groups), new)["iso"]
    assert found == pytest.approx(expected, abs=1e-9)


def test_what_statistics_tell_is_found_and_a_tag_that_nobody_has_is_zero() -> None:
    statistics, rows, groups = photographs()
    new, truths, _ = photographs(seed=1)
    found = outputs_of(fitted(rows, statistics, groups), new)
    assert list(found) == list(TAGS)
    assert np.corrcoef(found["iso"], np.log2([float(str(row["iso"])) for row in truths]))[0, 1] > 0.9
    named = np.array(list("abc"))[found["make"].argmax(axis=1)]
    assert (named == [row["make"] for row in truths]).mean() > 0.7
    assert not found["f_number"].any()
    assert found["flash"].shape == (60, 1)


def test_what_only_differs_between_sources_is_believed_less() -> None:
    """A statistic that goes with the source, and one that goes with the value inside every source."""
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(8), 40)
    of_source, inside = rng.normal(size=8)[source], rng.normal(size=320)
    rows: list[dict[str, object]] = [{"iso": float(2**stop)} for stop in of_source + inside]
    statistics = np.stack([of_source, inside], axis=1) + rng.normal(0, 0.1, (320, 2))
    with_effects = fitted(rows, statistics, source)
    without = fitted(rows, statistics, np.arange(320))
    column = sum(widths(VOCABULARY)[tag] for tag in TAGS[: TAGS.index("iso")])
    shares = [model.weights[0, column] / model.weights[1, column] for model in (with_effects, without)]
    assert shares[0] < 0.95 * shares[1]


def test_an_unknown_statistic_counts_as_its_mean_and_a_wild_one_is_cut_off() -> None:
    statistics, rows, groups = photographs()
    statistics[::7, 0] = np.nan
    statistics[:, 5] = 3.0
    model = fitted(rows, statistics, groups)
    mean = np.tile(np.nanmean(statistics, axis=0), (2, 1))
    unknown, wild, wilder = mean.copy(), mean.copy(), mean.copy()
    unknown[:, 0] = np.nan
    wild[:, 1], wilder[:, 1] = 1e3, 1e6
    assert model.outputs(unknown) == pytest.approx(model.outputs(mean))
    assert model.outputs(wild) == pytest.approx(model.outputs(wilder))
    assert np.isfinite(model.outputs(wilder)).all()


def test_the_arrays_return_the_same_outputs() -> None:
    statistics, rows, groups = photographs()
    model = fitted(rows, statistics, groups)
    again = TagRegression.of_arrays(VOCABULARY, model.arrays())
    assert again.outputs(statistics) == pytest.approx(model.outputs(statistics), abs=1e-5)


def test_whoever_learns_from_nothing_says_nothing() -> None:
    assert not fitted([], np.empty((0, 8)), np.empty(0)).outputs(photographs()[0]).any()


def test_outputs_stand_side_by_side() -> None:
    together = np.arange(2.0 * WIDTH).reshape(2, WIDTH)
    parts = split_outputs(together, VOCABULARY)
    assert [np.ndim(parts[tag]) for tag in TAGS] == [2] * len(CATEGORICAL) + [1] * len(RANKED)
    assert np.array_equal(np.hstack([parts[tag].reshape(2, -1) for tag in TAGS]), together)
    with pytest.raises(ValueError, match="outputs"):
        split_outputs(together[:, 1:], VOCABULARY)
