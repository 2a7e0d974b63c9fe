import io

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import GaussianMixture

from models.mixture import (
    CANDIDATES,
    PUBLISHED,
    Mixture,
    MixtureConfig,
    choose_mixture,
    fit_mixture,
    held_out_log_likelihoods,
)

Floats = npt.NDArray[np.float64]


def _correlated(n: int, d: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(d, d))
    return np.asarray(rng.normal(size=(n, d)) @ mix * np.linspace(0.1, 30, d) + 5)


def _clusters(n: int, d: int, k: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(k, d)) * 4
    return np.asarray(centres[rng.integers(k, size=n)] + rng.normal(size=(n, d)))


def test_published_is_scikit_learns_mixture() -> None:
    features = _clusters(400, 6, 5)
    reference = GaussianMixture(5, covariance_type="full", init_params="k-means++", random_state=42)
    reference.fit(features)
    mixture = fit_mixture(features, PUBLISHED)
    assert mixture.reg_covar == 1e-6
    assert np.allclose(mixture.log_likelihood(features), reference.score_samples(features), rtol=1e-10)


def test_single_whitened_component_is_the_gaussian_it_says() -> None:
    features = _correlated(80, 7)
    shrinkage = 0.3
    mean, scale = features.mean(axis=0), features.std(axis=0)
    standard = (features - mean) / scale
    assert np.abs(standard).max() < 8
    whole, _ = ledoit_wolf(standard)
    blend = (1 - shrinkage) * np.cov(standard.T, bias=True) + shrinkage * whole
    expected = multivariate_normal(mean, blend * np.outer(scale, scale)).logpdf(features)
    for dimension in (None, 1, 4):
        config = MixtureConfig(components=1, shrinkage=shrinkage, dimension=dimension)
        assert np.allclose(fit_mixture(features, config).log_likelihood(features), expected, atol=1e-4)


@pytest.mark.parametrize("dimension", [None, 1])
def test_whitened_mixture_is_a_density(dimension: int | None) -> None:
    features = _clusters(300, 2, 3) * [0.2, 5.0]
    mixture = fit_mixture(features, MixtureConfig(components=3, dimension=dimension, shrinkage=0.1))
    low, high = features.min(axis=0), features.max(axis=0)
    low, high = low - (high - low), high + (high - low)
    axes = [np.linspace(low[i], high[i], 700) for i in (0, 1)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert np.exp(mixture.log_likelihood(grid)).sum() * cell == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("config", [PUBLISHED, MixtureConfig(components=3, covariance="tied", shrinkage=0.2)])
def test_far_away_is_less_likely(config: MixtureConfig) -> None:
    features = _correlated(300, 5)
    mixture = fit_mixture(features, config)
    far = features + 20 * features.std(axis=0)
    assert mixture.log_likelihood(far).max() < np.median(mixture.log_likelihood(features))


AWKWARD = {
    "fewer rows than columns": _correlated(20, 60),
    "constant columns": np.hstack([_correlated(50, 4), np.full((50, 2), 3.5), np.zeros((50, 1))]),
    "duplicates": np.repeat(_correlated(3, 5), 20, axis=0),
    "one outlier": np.vstack([_correlated(40, 5), np.full((1, 5), 1e7)]),
    "huge and tiny": _correlated(60, 4) * [1e8, 1e-8, 1, 1e3],
    "single precision": _correlated(60, 4).astype(np.float32),
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize(
    "config",
    [
        PUBLISHED,
        MixtureConfig(shrinkage=0.1),
        MixtureConfig(components=3, covariance="tied", dimension=3, shrinkage=0.5),
        MixtureConfig(components=1),
    ],
)
def test_awkward_features_are_fitted(name: str, config: MixtureConfig) -> None:
    features = AWKWARD[name]
    mixture = fit_mixture(features, config)
    assert np.isfinite(mixture.log_likelihood(features)).all()
    assert np.isfinite(mixture.log_likelihood(features * 3 + 1)).all()


def test_constant_columns_change_nothing() -> None:
    features = _correlated(60, 4)
    config = MixtureConfig(components=2, shrinkage=0.2)
    padded = np.insert(features, 2, 0.25, axis=1)
    expected = fit_mixture(features, config).log_likelihood(features)
    assert np.array_equal(fit_mixture(padded, config).log_likelihood(padded), expected)


@pytest.mark.parametrize("config", [PUBLISHED, MixtureConfig(components=2, dimension=3, shrinkage=0.3)])
def test_storage_is_exact_and_deterministic(config: MixtureConfig) -> None:
    features = _correlated(70, 6)
    mixture = fit_mixture(features, config)
    content = mixture.to_bytes()
    loaded = Mixture.from_bytes(content)
    assert content == fit_mixture(features, config).to_bytes() == loaded.to_bytes()
    assert loaded.config == config
    assert np.array_equal(loaded.log_likelihood(features), mixture.log_likelihood(features))
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        assert "means" in archive.files


def test_pickles_are_refused() -> None:
    content = io.BytesIO()
    np.savez(content, scalars=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        Mixture.from_bytes(content.getvalue())


def test_choice_finds_the_number_of_components() -> None:
    features = _clusters(600, 4, 3)
    groups = np.arange(600) // 10
    candidates = [MixtureConfig(components=k, shrinkage=0.1) for k in (1, 3)]
    assert choose_mixture(features, groups, candidates, seed=1).components == 3
    assert choose_mixture(_correlated(200, 4), np.arange(200), candidates, seed=1).components == 1


def test_choice_compares_dimensions_on_one_space() -> None:
    """Two clusters lie off the first principal direction: a mixture over that alone cannot see them."""
    rng = np.random.default_rng(0)
    hidden = rng.choice([-3.0, 3.0], size=(900, 1)) + 0.5 * rng.normal(size=(900, 1))
    shared = rng.normal(size=(900, 1))
    features = np.hstack([shared + 0.3 * rng.normal(size=(900, 3)), hidden, rng.normal(size=(900, 1)) * 0.5])
    configs = [MixtureConfig(components=2, dimension=d, shrinkage=0.01) for d in (1, None)]
    values = held_out_log_likelihoods(features, np.arange(900), configs, seed=0)
    single = held_out_log_likelihoods(features, np.arange(900), [MixtureConfig(components=1)], seed=0)
    assert values[1] > values[0] + 0.05
    assert values[0] == pytest.approx(single[0], abs=0.05)


def test_choice_survives_columns_constant_in_a_fold_and_too_many_components() -> None:
    features = np.hstack([_correlated(24, 3), np.zeros((24, 1))])
    features[0, 3] = 1
    candidates = [MixtureConfig(components=23), MixtureConfig(components=1, shrinkage=0.5)]
    values = held_out_log_likelihoods(features, np.arange(24) // 3, candidates, seed=0)
    assert values[0] == -np.inf
    assert np.isfinite(values[1])


def test_choice_is_deterministic_with_the_default_candidates() -> None:
    features, groups = _correlated(60, 5), np.arange(60) // 4
    choice = choose_mixture(features, groups)
    assert choice in CANDIDATES
    assert choice == choose_mixture(features, groups)


def test_nonsense_is_refused() -> None:
    features = _correlated(30, 3)
    mixture = fit_mixture(features, MixtureConfig(components=1))
    for call, words in (
        (lambda: fit_mixture(features[:3], PUBLISHED), "at least 5 rows"),
        (lambda: fit_mixture(np.full((9, 2), np.nan), PUBLISHED), "not finite"),
        (lambda: fit_mixture(np.ones((9, 2)), MixtureConfig(components=1)), "no feature varies"),
        (lambda: mixture.log_likelihood(features[:, :2]), "3 features"),
        (lambda: mixture.log_likelihood(features[0]), "array"),
        (lambda: choose_mixture(features, np.zeros(30)), "2 groups"),
        (lambda: choose_mixture(features, np.zeros(3)), "3 groups"),
        (lambda: choose_mixture(features, np.arange(30), [PUBLISHED]), "whitened"),
        (lambda: MixtureConfig(whiten=False, shrinkage=0.1), "whitened"),
        (lambda: MixtureConfig(shrinkage=1.0), "shrinkage"),
        (lambda: MixtureConfig(covariance="diag"), "diag"),
        (lambda: MixtureConfig(components=0), "component"),
        (lambda: MixtureConfig(dimension=0), "dimension"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
