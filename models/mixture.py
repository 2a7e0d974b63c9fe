"""The density of features of photographs: a Gaussian mixture, fitted, chosen, evaluated, stored.

What belongs here: likelihoods of feature vectors (n, d). What does not: thresholds and p-values
(`conformal`), the detector built on them (`one_class`), how features are computed.

Two kinds of mixture exist. The published one (method.md, section 4) is fitted on the features as they are. Ours
is fitted in a whitened space: each feature standardised and clipped, then whitened by the Ledoit-Wolf shrunk
covariance. There the mixture covers the leading principal directions, and independent normal densities
complete the remaining ones; no direction is thrown away. Therefore every candidate is a density on the same
full space, and held-out likelihoods of different dimensions can be compared, which those of a mixture in a
mere projection cannot.
"""

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.arrays import pack_arrays, unpack_arrays
from models.held_out import held_out_parts

Floats = npt.NDArray[np.float64]

# Standardised features are cut off here, in units of their deviation.
_CLIP = 8.0
# A feature whose range is below this share of its size holds rounding errors and nothing else.
_CONSTANT = 1e-6
# scikit-learn's own default, the least variance of any direction.
_LEAST_VARIANCE = 1e-6
# Where the EM stops, in nats an image: scikit-learn's default, and a hundredth, which no choice depends on.
_TOLERANCE = {"published": 1e-3, "whitened": 1e-2}


@dataclass(frozen=True)
class MixtureConfig:
    """What a mixture is fitted with.

    `covariance` is 'full' (one matrix a component) or 'tied' (one for all). `whiten` selects the whitened
    space; only there have meaning: `dimension`, the number of leading principal directions that the mixture
    covers (None = all), and `shrinkage` in [0, 1), the weight of the Ledoit-Wolf covariance (there, the
    identity) against each component's own and against the remaining directions' own variances. A single
    component is the same density at every dimension, since whitening has decorrelated the directions.
    """

    components: int = 5
    covariance: str = "full"
    seed: int = 42
    whiten: bool = True
    dimension: int | None = None
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"a mixture has at least 1 component, not {self.components}")
        if self.covariance not in ("full", "tied"):
            raise ValueError(f"covariance is 'full' or 'tied', not {self.covariance!r}")
        if not 0 <= self.shrinkage < 1:
            raise ValueError(f"shrinkage lies in [0, 1), not {self.shrinkage}")
        if self.dimension is not None and self.dimension < 1:
            raise ValueError(f"dimension is at least 1, not {self.dimension}")
        if not self.whiten and (self.dimension is not None or self.shrinkage > 0):
            raise ValueError("dimension and shrinkage need the whitened space")


PUBLISHED = MixtureConfig(whiten=False)
"""5 full components on all features as they are, k-means++ start, seed 42 (method.md, section 4)."""

CANDIDATES = (
    *(MixtureConfig(components=1, dimension=16, shrinkage=shrinkage) for shrinkage in (0.9, 0.5, 0.1, 0.02)),
    *(
        MixtureConfig(components=components, covariance=covariance, dimension=dimension, shrinkage=shrinkage)
        for dimension in (16, 32)
        for components, covariance in ((3, "tied"), (5, "tied"), (3, "full"), (5, "full"))
        for shrinkage in (0.1, 0.02)
    ),
)
"""What `choose_mixture` is given by default, the simplest first."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """An affine map, with a clip in between, to a space where the fitting data has covariance near identity.

    `kept` (m,) are the columns that vary; `mean`, `scale` (m,) standardise them; `centre` (m,) and `matrix`
    (m, m) whiten, leading principal directions first; `log_volume` is the log of the map's determinant.
    """

    kept: npt.NDArray[np.int64]
    mean: Floats
    scale: Floats
    centre: Floats
    matrix: Floats
    log_volume: float

    def apply(self, features: Floats) -> Floats:
        """Whiten features (n, d): (n, m)."""
        standard = np.clip((features[:, self.kept] - self.mean) / self.scale, -_CLIP, _CLIP)
        return np.asarray((standard - self.centre) @ self.matrix)


@dataclass(frozen=True, eq=False)
class Mixture:
    """A fitted mixture on features of width `width`.

    `weights` (k,), `means` (k, q) and `precisions` (k, q, q), the Cholesky factors of the inverse covariances
    as scikit-learn has them, live in the first q directions of the whitened space or, where `whitening` is
    None, of the features themselves; `rest` (m - q,) are the variances of the remaining directions.
    `reg_covar` is what was added to every variance; `converged` is the EM's.
    """

    config: MixtureConfig
    width: int
    reg_covar: float
    converged: bool
    whitening: Whitening | None
    weights: Floats
    means: Floats
    precisions: Floats
    rest: Floats

    def log_likelihood(self, features: npt.ArrayLike) -> Floats:
        """Log density (natural) of each row of features (n, d): (n,).

        It is the density on the features' own scale, but for the columns that did not vary, which are left out,
        and for the clip of standardised features. Raises `ValueError` for another width and for values that
        are not finite.
        """
        values = _checked(features)
        if values.shape[1] != self.width:
            raise ValueError(f"the mixture was fitted on {self.width} features, not {values.shape[1]}")
        if self.whitening is None:
            return self._core(values)
        white = self.whitening.apply(values)
        distance = (np.square(white[:, self.means.shape[1] :]) / self.rest).sum(axis=1)
        completion = -0.5 * (distance + np.log(2 * math.pi * self.rest).sum())
        return np.asarray(self._core(white) + completion + self.whitening.log_volume)

    @property
    def peak(self) -> float:
        """Log density at the likeliest of the components' centres, on the scale of `log_likelihood`."""
        core = float(self._core(self.means).max())
        if self.whitening is None:
            return core
        return core - 0.5 * float(np.log(2 * math.pi * self.rest).sum()) + self.whitening.log_volume

    def _core(self, white: Floats) -> Floats:
        q = self.means.shape[1]
        logs = np.empty((len(white), len(self.weights)))
        for k, (weight, mean, factor) in enumerate(zip(self.weights, self.means, self.precisions, strict=True)):
            distance = np.square((white[:, :q] - mean) @ factor).sum(axis=1)
            log_determinant = np.log(np.diagonal(factor)).sum()
            logs[:, k] = math.log(weight) + log_determinant - 0.5 * (distance + q * math.log(2 * math.pi))
        return np.asarray(logsumexp(logs, axis=1))

    def to_bytes(self) -> bytes:
        """Give the mixture as the bytes of an `.npz` file, the same for the same mixture."""
        scalars = {
            "config": asdict(self.config),
            "width": self.width,
            "reg_covar": self.reg_covar,
            "converged": self.converged,
            "log_volume": None if self.whitening is None else self.whitening.log_volume,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "scalars": np.array(json.dumps(scalars, sort_keys=True)),
            "weights": self.weights,
            "means": self.means,
            "precisions": self.precisions,
            "rest": self.rest,
        }
        if self.whitening is not None:
            for name in ("kept", "mean", "scale", "centre", "matrix"):
                arrays[f"whitening_{name}"] = getattr(self.whitening, name)
        return pack_arrays(arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Mixture":
        """Read what `to_bytes` gave; pickled objects are refused with `ValueError`."""
        arrays = unpack_arrays(content)
        scalars = json.loads(str(arrays["scalars"]))
        whitening = None
        if scalars["log_volume"] is not None:
            parts = {name: arrays[f"whitening_{name}"] for name in ("kept", "mean", "scale", "centre", "matrix")}
            whitening = Whitening(**parts, log_volume=scalars["log_volume"])
        return cls(
            config=MixtureConfig(**scalars["config"]),
            width=scalars["width"],
            reg_covar=scalars["reg_covar"],
            converged=scalars["converged"],
            whitening=whitening,
            weights=arrays["weights"],
            means=arrays["means"],
            precisions=arrays["precisions"],
            rest=arrays["rest"],
        )


def fit_mixture(features: npt.ArrayLike, config: MixtureConfig) -> Mixture:
    """Fit a mixture on features (n, d) of photographs.

    Fewer rows than columns, constant columns and duplicates are allowed. Unwhitened, each variance gets 1e-6,
    scikit-learn's default, or as many times ten of it as the covariances need to be positive definite; what
    it took is kept as `reg_covar`. Raises `ValueError` for fewer rows than components (or than 2), for values
    that are not finite, and where no feature varies.
    """
    values = _checked(features)
    _check_rows(len(values), config)
    if not config.whiten:
        return _fit_core(values, None, config, values.shape[1])
    whitening = _fit_whitening(values, _varying(values))
    return _fit_core(whitening.apply(values), whitening, config, values.shape[1])


def choose_mixture(
    features: npt.ArrayLike,
    groups: npt.ArrayLike,
    candidates: Sequence[MixtureConfig] = CANDIDATES,
    seed: int = 42,
) -> MixtureConfig:
    """Choose the candidate with the highest held-out log-likelihood, the first among equals.

    See `held_out_log_likelihoods`; no generated image takes part.
    """
    return candidates[int(np.argmax(held_out_log_likelihoods(features, groups, candidates, seed)))]


def held_out_log_likelihoods(
    features: npt.ArrayLike, groups: npt.ArrayLike, candidates: Sequence[MixtureConfig], seed: int
) -> Floats:
    """Mean log-likelihood of each candidate on held-out groups, (len(candidates),).

    Up to four folds; all rows of a group (n,) are held out together. A candidate with more components than
    a fold has rows gets minus infinity. Raises `ValueError` for fewer than two groups, for unwhitened
    candidates, whose densities are on another space, and where no feature varies in every fold.
    """
    values = _checked(features)
    names = np.asarray(groups)
    if len(names) != len(values):
        raise ValueError(f"{len(values)} rows of features, but {len(names)} groups")
    if not candidates or not all(candidate.whiten for candidate in candidates):
        raise ValueError("only whitened candidates can be compared, and at least one is needed")
    splits = held_out_parts(names, seed)
    # A column that is constant in one fold would change the space that this fold's densities are on.
    kept = np.flatnonzero(np.all([_varying_mask(values[fit]) for fit, _ in splits], axis=0))
    totals = np.zeros(len(candidates))
    for fit, held_out in splits:
        whitening = _fit_whitening(values[fit], kept)
        white = whitening.apply(values[fit])
        for index, candidate in enumerate(candidates):
            if len(fit) < max(candidate.components, 2):
                totals[index] = -math.inf
                continue
            mixture = _fit_core(white, whitening, candidate, values.shape[1])
            totals[index] += mixture.log_likelihood(values[held_out]).sum()
    return totals / len(values)


def _fit_core(values: Floats, whitening: Whitening | None, config: MixtureConfig, width: int) -> Mixture:
    # Loaded here: it is fitting alone that needs scikit-learn, and an answer does not wait for it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    core = values[:, : config.dimension]
    own_variances = values[:, core.shape[1] :].var(axis=0)
    # (1 - s) S + s I = (1 - s) (S + s / (1 - s) I): the EM runs with the sum in brackets, which scikit-learn
    # knows as reg_covar, and the factor follows at the end.
    reg_covar = _LEAST_VARIANCE + config.shrinkage / (1 - config.shrinkage)
    while True:
        model = GaussianMixture(
            config.components,
            covariance_type=config.covariance,
            init_params="k-means++",
            reg_covar=reg_covar,
            tol=_TOLERANCE["whitened" if config.whiten else "published"],
            random_state=config.seed,
        )
        try:
            # The many small products run faster on one thread than on several that wait for each other (ten
            # times on a busy machine), and their sums do not depend on the number of cores.
            with threadpool_limits(limits=1), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(core)
            break
        except ValueError as error:
            if "ill-defined" not in str(error) or not math.isfinite(reg_covar * 10):
                raise
            reg_covar *= 10
    factors = model.precisions_cholesky_ / math.sqrt(1 - config.shrinkage)
    if config.covariance == "tied":
        factors = np.broadcast_to(factors, (config.components, *factors.shape))
    # A component that lost all its points keeps a tiny weight in scikit-learn; zero would have no logarithm.
    weights = np.maximum(model.weights_, np.finfo(np.float64).tiny)
    return Mixture(
        config=config,
        width=width,
        reg_covar=reg_covar,
        converged=bool(model.converged_),
        whitening=whitening,
        weights=weights,
        means=model.means_,
        precisions=np.ascontiguousarray(factors),
        rest=(1 - config.shrinkage) * (own_variances + reg_covar),
    )


def _fit_whitening(values: Floats, kept: npt.NDArray[np.int64]) -> Whitening:
    from sklearn.covariance import ledoit_wolf

    if kept.size == 0:
        raise ValueError("no feature varies")
    chosen = values[:, kept]
    mean, scale = chosen.mean(axis=0), chosen.std(axis=0)
    standard = np.clip((chosen - mean) / scale, -_CLIP, _CLIP)
    with threadpool_limits(limits=1):
        covariance, _ = ledoit_wolf(standard)
        variances, directions = np.linalg.eigh(covariance)
    # As many identical rows as there are make the shrinkage zero, and the smallest variances with it.
    variances = np.maximum(variances, _LEAST_VARIANCE)[::-1]
    directions = directions[:, ::-1]
    log_volume = -np.log(scale).sum() - 0.5 * np.log(variances).sum()
    return Whitening(
        kept=kept,
        mean=mean,
        scale=scale,
        centre=standard.mean(axis=0),
        matrix=np.ascontiguousarray(directions / np.sqrt(variances)),
        log_volume=float(log_volume),
    )


def _varying_mask(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.ptp(values, axis=0) > _CONSTANT * np.abs(values).max(axis=0))


def _varying(values: Floats) -> npt.NDArray[np.int64]:
    return np.flatnonzero(_varying_mask(values)).astype(np.int64)


def _checked(features: npt.ArrayLike) -> Floats:
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"features are an array (n, d), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a feature is not finite")
    return values


def _check_rows(rows: int, config: MixtureConfig) -> None:
    least = max(config.components, 2)
    if rows < least:
        raise ValueError(f"a mixture of {config.components} components needs at least {least} rows, not {rows}")
