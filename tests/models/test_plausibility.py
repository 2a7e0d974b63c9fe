import json

import numpy as np
import pytest
from scipy.stats import norm

from models.plausibility import Claimed, Classes, Line, Plausibility, fit_plausibility
from models.pretext import CATEGORICAL, MISSING, RANKED, TAGS, Vocabulary
from tests.models.claimed_photographs import photographs

ISO, MAKE = TAGS.index("iso"), TAGS.index("make")


def test_claims_are_read_from_typed_exif() -> None:
    vocabulary = Vocabulary({**dict.fromkeys(CATEGORICAL, ("a", "other")), "flash": ("a",)})
    rows = [
        {"make": "a", "iso": 800.0, "exposure_bias_ev": -1, "flash": "a"},
        {"make": "never seen", "iso": 0.0, "model": None},
    ]
    claimed = Claimed.of(rows, vocabulary)
    first, second = (dict(zip(TAGS, row, strict=True)) for row in claimed.numbers.tolist())
    assert (first["make"], first["exposure_bias_ev"]) == (0, -1)
    assert first["iso"] == pytest.approx(np.log2(800))
    # A head of one class tells nothing; a class without a name is no opinion; no logarithm knows 0.
    assert np.isnan([first["flash"], second["make"], second["model"], second["iso"]]).all()
    assert claimed.codes[1].tolist() == [MISSING] * len(CATEGORICAL)
    assert Claimed.of([], vocabulary).values.shape == (0, len(RANKED))


def test_nonconformity_is_the_log_likelihood_lost() -> None:
    line = Line(slope=2.0, intercept=1.0, spread=0.5, mean=3.0, spread_at_large=2.0, low=-1.0, high=1.0)
    found = line.nonconformity(np.array([0.5, 9.0]), np.array([2.5, 2.5]))
    # A score beyond what was seen counts as the last that was.
    expected = [norm.logpdf(2.5, 3, 2) - norm.logpdf(2.5, mean, 0.5) for mean in (2.0, 3.0)]
    assert found == pytest.approx(expected)
    shares = np.log([0.75, 0.25])
    classes = Classes(2.0, tuple(shares.tolist()), (0.0, 1.0))
    given = np.exp(shares + 2 * np.array([1.0, -1.0]))
    (said,) = classes.nonconformity(np.array([[1.0, 0.0]]), np.array([1.0]))
    assert said == pytest.approx(np.log(0.25) - np.log(given[1] / given.sum()))


def test_true_claims_fit_better_than_false_ones() -> None:
    made = photographs()
    fitted = fit_plausibility(made.outputs, made.claimed, made.groups)
    own = fitted.nonconformity(made.outputs, made.claimed)
    false = fitted.nonconformity(made.outputs, made.claimed.take(np.roll(np.arange(len(own)), 10)))
    for column in (ISO, MAKE):
        assert np.median(own[:, column]) < 0 < np.mean(false[:, column])
    assert (fitted.joint(own) < fitted.joint(false)).mean() > 0.8
    # Deviations of a sum whose covariance is known.
    assert np.std(fitted.joint(own)) == pytest.approx(1, abs=0.05)


def test_heads_that_tell_nothing_are_silent() -> None:
    made = photographs()
    reversed_scores = {**made.outputs, "iso": -made.outputs["iso"], "make": -made.outputs["make"]}
    fitted = fit_plausibility(reversed_scores, made.claimed, made.groups)
    assert not {"iso", "make"} & set(fitted.tags)
    found = fitted.nonconformity(made.outputs, made.claimed)
    assert np.isnan(found[:, [ISO, MAKE]]).all()
    silent = Plausibility({}, fitted.means, fitted.covariance)
    assert np.isnan(silent.joint(silent.nonconformity(made.outputs, made.claimed))).all()


def test_a_tag_of_one_source_or_of_few_photographs_is_left_out() -> None:
    made = photographs(sources=1, each=100)
    assert not fit_plausibility(made.outputs, made.claimed, made.groups).tags
    few = photographs(sources=4, each=4)
    assert not fit_plausibility(few.outputs, few.claimed, few.groups).tags


def test_every_source_counts_alike() -> None:
    made = photographs(sources=4, each=40)
    twice = np.concatenate([np.arange(160), np.tile(np.arange(40), 9)])
    outputs = {tag: found[twice] for tag, found in made.outputs.items()}
    again = fit_plausibility(outputs, made.claimed.take(twice), made.groups[twice]).tags["iso"]
    once = fit_plausibility(made.outputs, made.claimed, made.groups).tags["iso"]
    assert isinstance(once, Line)
    assert isinstance(again, Line)
    assert again.mean == pytest.approx(once.mean)
    assert again.slope == pytest.approx(once.slope, rel=0.05)


def test_a_claim_that_is_not_there_changes_nothing() -> None:
    made = photographs()
    fitted = fit_plausibility(made.outputs, made.claimed, made.groups)
    found = fitted.nonconformity(made.outputs, made.claimed)
    found[:, TAGS.index("f_number")] = np.nan
    alone = found.copy()
    alone[:, MAKE] = np.nan
    expected = (found[:, ISO] - fitted.means[ISO]) / np.sqrt(fitted.covariance[ISO, ISO])
    assert fitted.joint(alone) == pytest.approx(expected)
    assert not np.isnan(fitted.joint(found)).any()


def test_it_returns_from_json() -> None:
    made = photographs()
    fitted = fit_plausibility(made.outputs, made.claimed, made.groups)
    again = Plausibility.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again.tags == fitted.tags
    found = fitted.nonconformity(made.outputs, made.claimed)
    assert np.array_equal(again.nonconformity(made.outputs, made.claimed), found, equal_nan=True)
    assert np.array_equal(again.joint(found), fitted.joint(found))
