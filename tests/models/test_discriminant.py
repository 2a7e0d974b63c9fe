"""The direction towards reconstructions: found whatever the content, stored as it is."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from models.discriminant import Described, Discriminant, fit_discriminant, told

Floats = npt.NDArray[np.float64]
WIDTH = 12
# Photographs vary much along the first features; reconstructions are moved along two that hardly vary.
SPREAD = np.linspace(3, 0.3, WIDTH)
MOVED = np.eye(WIDTH)[-2:].sum(axis=0) * 0.6


def photographs(count: int, seed: int) -> Described:
    """Features that follow content, and covariates."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(count, 33))
    return Described(4 * content[:, :1] + rng.normal(size=(count, WIDTH)) * SPREAD, content)


def rebuilt(given: Described, seed: int) -> Described:
    noise = 0.05 * np.random.default_rng(seed).normal(size=given.features.shape)
    return Described(given.features + MOVED + noise, given.covariates)


@pytest.fixture(scope="module")
def fitted() -> Discriminant:
    reference, pairs = photographs(3000, 0), photographs(800, 1)
    return fit_discriminant(reference, np.arange(3000) // 10, pairs, rebuilt(pairs, 2))


def test_reconstructions_of_new_photographs_are_told(fitted: Discriminant) -> None:
    new = photographs(2000, 3)
    made = rebuilt(photographs(2000, 4), 5)
    scores = [fitted.score(side.features, side.covariates) for side in (new, made)]
    assert roc_auc_score(np.repeat([0, 1], 2000), np.concatenate(scores)) == told(fitted, new, made) > 0.9
    assert scores[0].mean() == pytest.approx(0, abs=0.1)
    assert scores[0].std() == pytest.approx(1, abs=0.1)
    assert abs(np.corrcoef(scores[0], new.covariates[:, 0])[0, 1]) < 0.1


def test_what_is_far_in_other_directions_is_no_reconstruction(fitted: Discriminant) -> None:
    strange = photographs(500, 6)
    away = Described(strange.features - 10 * MOVED, strange.covariates)
    assert fitted.score(away.features, away.covariates).max() < 0


def test_what_is_stored_scores_alike(fitted: Discriminant) -> None:
    new = photographs(10, 7)
    again = Discriminant.of_arrays(fitted.arrays())
    assert np.array_equal(again.score(new.features, new.covariates), fitted.score(new.features, new.covariates))


def test_one_pair_is_too_few() -> None:
    reference, one = photographs(100, 0), photographs(1, 1)
    with pytest.raises(ValueError, match="1 pairs of a photograph and its reconstruction: at least 2"):
        fit_discriminant(reference, np.arange(100) // 10, one, one)
