import numpy as np
import numpy.typing as npt
import pytest

from models.conditioning import (
    UNCONDITIONED,
    Conditioning,
    Normaliser,
    Terms,
    choose_normaliser,
    fit_conditioning,
    fit_normaliser,
)
from models.density import GAUSSIANS, ConditionalDensity, choose_terms, fit_density
from models.held_out import held_out_parts
from models.mixture import MixtureConfig

Floats = npt.NDArray[np.float64]

PLAIN = (MixtureConfig(components=1, shrinkage=0.1),)


def photographs(
    n: int, seed: int, slope: float = 3.0, spread: float = 0.0
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Features (n, 8) that follow content, covariates (n, 33), and groups (n,)."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, 33))
    noise = rng.normal(size=(n, 8)) * np.exp(spread * content[:, :1])
    return slope * content[:, :1] + slope * content[:, 1:2] ** 2 + noise, content, (np.arange(n) // 10).astype(np.int64)


def test_whole_groups_are_held_out_and_each_row_once() -> None:
    groups = np.repeat(np.arange(9), 5)
    parts = held_out_parts(groups, 42)
    assert len(parts) == 4
    assert np.array_equal(np.sort(np.concatenate([held for _, held in parts])), np.arange(45))
    for fitting, held_out in parts:
        assert not set(groups[fitting]) & set(groups[held_out])
    assert len(held_out_parts([1, 1, 2], 0)) == 2
    with pytest.raises(ValueError, match="2 groups"):
        held_out_parts([1, 1, 1], 0)


def test_what_content_predicts_is_taken_off() -> None:
    features, content, _ = photographs(2000, 0)
    fresh, its_content, _ = photographs(500, 1)
    rests = fit_conditioning(features, content, Terms(7, 2, 10.0)).apply(fresh, its_content)
    assert np.abs(np.corrcoef(rests.T, its_content[:, 0])[:-1, -1]).max() < 0.15
    assert rests.std() == pytest.approx(1, abs=0.1)
    plain = fit_conditioning(features, content, UNCONDITIONED).apply(fresh, its_content)
    assert np.allclose(plain, (fresh - features.mean(axis=0)) / features.std(axis=0))


def test_terms_are_chosen_by_held_out_groups() -> None:
    features, content, groups = photographs(800, 2)
    assert choose_terms(features, content, groups).degree == 2
    rng = np.random.default_rng(3)
    assert choose_terms(rng.normal(size=(800, 8)), content, groups) == UNCONDITIONED


def test_a_feature_that_does_not_vary_does_no_harm() -> None:
    features, content, groups = photographs(300, 4)
    features[:, 3] = 0.1
    density = fit_density(features, content, groups, PLAIN)
    assert np.isfinite(density.score(features, content)).all()


def test_scores_do_not_follow_content() -> None:
    # Features whose spread follows content: a density alone would call the wide ones strange.
    features, content, groups = photographs(3000, 5, spread=0.4)
    fresh, its_content, _ = photographs(1500, 6, spread=0.4)
    scores = fit_density(features, content, groups, PLAIN).score(fresh, its_content)
    assert abs(np.corrcoef(scores, its_content[:, 0])[0, 1]) < 0.1
    assert scores.mean() == pytest.approx(0, abs=0.15)
    assert scores.std() == pytest.approx(1, abs=0.2)


def test_a_stranger_of_ordinary_content_scores_high() -> None:
    features, content, groups = photographs(1000, 7)
    density = fit_density(features, content, groups, PLAIN)
    strange, its_content, _ = photographs(200, 8)
    usual = density.score(strange, its_content)
    assert np.median(density.score(strange + np.array([4, -4] * 4), its_content)) > np.quantile(usual, 0.99)


def test_normaliser_centres_and_scales() -> None:
    rng = np.random.default_rng(9)
    content = rng.normal(size=(4000, 33))
    scores = 5 + 2 * content[:, 0] + np.exp(0.5 * content[:, 2]) * rng.normal(size=4000)
    normalised = fit_normaliser(scores, content, Terms(7, 2, 1.0)).apply(scores, content)
    for part in (content[:, 2] < -0.5, content[:, 2] > 0.5):
        assert normalised[part].mean() == pytest.approx(0, abs=0.15)
    narrow, wide = (normalised[part].std() for part in (content[:, 2] < -0.5, content[:, 2] > 0.5))
    assert wide / narrow < 1.4
    assert normalised.std() == pytest.approx(1, abs=1e-6)


def test_few_photographs_bear_few_terms() -> None:
    rng = np.random.default_rng(11)
    content, groups = rng.normal(size=(2000, 33)), np.arange(2000) // 10
    square = content[:, 0] + content[:, 1] ** 2 + rng.normal(size=2000)
    assert choose_normaliser(square, content, groups, 42).degree == 2
    assert choose_normaliser(rng.normal(size=2000), content, groups, 42) == UNCONDITIONED
    few = slice(0, 60)
    linear = content[few, 0] + 0.5 * rng.normal(size=60)
    assert choose_normaliser(linear, content[few], groups[few], 42).degree == 1


def test_storage_is_exact() -> None:
    features, content, groups = photographs(400, 10)
    density = fit_density(features, content, groups, PLAIN)
    again = ConditionalDensity.of_arrays(density.arrays())
    assert np.array_equal(again.score(features, content), density.score(features, content))
    conditioning = Conditioning.of_arrays(density.conditioning.arrays())
    assert conditioning.basis.terms == density.conditioning.basis.terms
    assert Normaliser.of_arrays(density.normaliser.arrays()).basis.terms == density.normaliser.basis.terms


def test_the_shrinkage_of_one_gaussian_is_chosen_by_held_out_groups() -> None:
    # Few photographs of independent features: the sample's own covariance is mostly chance.
    rng = np.random.default_rng(12)
    content, groups = rng.normal(size=(200, 33)), np.arange(200) // 10
    few = fit_density(rng.normal(size=(200, 40)), content, groups, GAUSSIANS)
    assert few.mixture.config.shrinkage == 0.999
    # Many, of features that hang together: what the sample says is so.
    content, groups = rng.normal(size=(1500, 33)), np.arange(1500) // 10
    together = rng.normal(size=(1500, 4)) @ rng.normal(size=(4, 40)) + 0.01 * rng.normal(size=(1500, 40))
    many = fit_density(together, content, groups, GAUSSIANS)
    assert many.mixture.config.shrinkage < 0.5
    assert len(many.mixture.weights) == len(few.mixture.weights) == 1
