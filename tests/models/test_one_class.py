import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models import conformal
from models.density import ConditionalDensity, fit_density
from models.mixture import Mixture, MixtureConfig, fit_mixture
from models.one_class import (
    OneClassDetector,
    ReferenceFeatures,
    fit_complexity,
    fit_one_class,
    fit_one_class_published,
)

CANDIDATES = (MixtureConfig(components=1, shrinkage=0.5), MixtureConfig(components=3, shrinkage=0.1))


def _reference(n: int = 500, d: int = 6, seed: int = 0) -> ReferenceFeatures:
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // 5
    features, covariates = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(n, 33)).astype(np.float32)
    return ReferenceFeatures(features, covariates, (groups % 5).astype(np.int8), groups)


def _references() -> dict[str, ReferenceFeatures]:
    return {"as_shipped": _reference(seed=1), "format_matched": _reference(seed=2)}


@pytest.fixture(scope="module")
def detectors() -> dict[str, OneClassDetector]:
    references = _references()
    narrow = {
        track: dataclasses.replace(reference, features=np.abs(reference.features[:, :1]))
        for track, reference in references.items()
    }
    return {
        "one_class": fit_one_class("one_class", "b1", "token_mean", references, candidates=CANDIDATES),
        "one_class_published": fit_one_class_published("one_class_published", "b1", references),
        "complexity": fit_complexity("complexity", narrow),
    }


def _features(detector: OneClassDetector, n: int, shift: float = 0) -> npt.NDArray[np.float64]:
    width = 1 if detector.pooling == "complexity" else 6
    return np.abs(np.random.default_rng(9).normal(size=(n, width)) + shift)


def _content(n: int) -> npt.NDArray[np.float64]:
    """The most ordinary content; what it does to scores is asked in test_density."""
    return np.zeros((n, 33))


@pytest.mark.parametrize("name", ["one_class", "one_class_published", "complexity"])
def test_strange_features_score_higher_and_are_flagged(name: str, detectors: dict[str, OneClassDetector]) -> None:
    detector = detectors[name]
    for track in ("as_shipped", "format_matched"):
        usual = detector.judge(track, _features(detector, 200), _content(200))
        strange = detector.judge(track, _features(detector, 200, shift=8), _content(200))
        assert strange.score.min() > usual.score.max()
        assert strange.flagged.all()
        assert strange.p_value.max() == pytest.approx(1 / 101)
        assert usual.flagged.mean() < 0.3


def test_flag_and_p_value_agree_in_ours(detectors: dict[str, OneClassDetector]) -> None:
    for name in ("one_class", "complexity"):
        detector = detectors[name]
        for shift in (0.0, 0.5, 1.0):
            judged = detector.judge("as_shipped", _features(detector, 300, shift), _content(300))
            assert np.array_equal(judged.flagged, judged.p_value <= 0.05)


def test_rate_holds_on_fresh_photographs(detectors: dict[str, OneClassDetector]) -> None:
    detector = detectors["one_class"]
    rng = np.random.default_rng(3)
    fresh, content = rng.normal(size=(5000, 6)), rng.normal(size=(5000, 33))
    # The rate given 100 calibration scores is itself Beta(5, 96): .05 on average, .015-.11 nearly always.
    assert 0.015 < detector.judge("as_shipped", fresh, content).flagged.mean() < 0.11


def test_only_folds_0_to_2_fit_and_only_fold_4_calibrates(detectors: dict[str, OneClassDetector]) -> None:
    references = _references()
    changed = {}
    for track, reference in references.items():
        features = reference.features.copy()
        features[reference.folds == 3] = 1e6
        changed[track] = dataclasses.replace(reference, features=features)
    again = fit_one_class("one_class", "b1", "token_mean", changed, candidates=CANDIDATES)
    assert again.digest() == detectors["one_class"].digest()
    reference = references["as_shipped"]
    fit = detectors["one_class"].tracks["as_shipped"]
    assert isinstance(fit.density, ConditionalDensity)
    features, covariates = reference.features.astype(float), reference.covariates.astype(float)
    fits, calibrates = reference.folds <= 2, reference.folds == 4
    expected = fit_density(features[fits], covariates[fits], reference.groups[fits], CANDIDATES)
    calibration = np.sort(expected.score(features[calibrates], covariates[calibrates]))
    assert np.array_equal(fit.calibration_scores, calibration)
    assert fit.threshold == conformal.threshold(calibration, 0.05)


def test_published_threshold_is_the_second_percent_of_the_fitting_data() -> None:
    reference = _reference()
    detector = fit_one_class_published("p", "b1", {"as_shipped": reference})
    fitting = reference.features[reference.folds <= 2]
    judged = detector.judge("as_shipped", fitting, reference.covariates[reference.folds <= 2])
    assert judged.flagged.sum() == int(0.02 * len(fitting)) == 6
    assert detector.tracks["as_shipped"].threshold_from == "fitting_data"
    assert detector.pooling == "token0"
    fit = detector.tracks["as_shipped"].density
    assert isinstance(fit, Mixture)
    assert np.array_equal(judged.score, -fit_mixture(fitting, fit.config).log_likelihood(fitting))


def test_nothing_to_judge_is_no_error(detectors: dict[str, OneClassDetector]) -> None:
    judged = detectors["one_class"].judge("as_shipped", np.empty((0, 1)), np.empty((0, 33)))
    assert [len(part) for part in judged] == [0, 0, 0]


def test_complexity_is_its_own_score() -> None:
    values = np.linspace(0, 5, 100)
    groups = np.arange(100)
    reference = ReferenceFeatures(values[:, None], np.zeros((100, 33)), groups % 5, groups)
    detector = fit_complexity("complexity", {"as_shipped": reference})
    assert detector.backbone is None
    assert np.array_equal(detector.score("as_shipped", [[2.5], [0.1]], np.zeros((2, 33))), [2.5, 0.1])
    with pytest.raises(ValueError, match="one finite number"):
        detector.score("as_shipped", np.zeros((3, 2)), np.zeros((3, 33)))


@pytest.mark.parametrize("name", ["one_class", "one_class_published", "complexity"])
def test_storage_is_exact_and_deterministic(name: str, detectors: dict[str, OneClassDetector], tmp_path: Path) -> None:
    detector = dataclasses.replace(detectors[name], simulated_only=True)
    detector.save(tmp_path / "a")
    loaded = OneClassDetector.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["as_shipped.npz", "detector.json", "format_matched.npz"]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert loaded.digest() == detector.digest() != detectors[name].digest()
    assert (loaded.name, loaded.backbone, loaded.pooling) == (detector.name, detector.backbone, detector.pooling)
    features = _features(detector, 50)
    before, after = (d.judge("as_shipped", features, _content(50)) for d in (detector, loaded))
    for kept, given in zip(after, before, strict=True):
        assert np.array_equal(kept, given)


def test_a_changed_file_is_refused(detectors: dict[str, OneClassDetector], tmp_path: Path) -> None:
    detectors["complexity"].save(tmp_path)
    path = tmp_path / "as_shipped.npz"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"as_shipped\.npz"):
        OneClassDetector.load(tmp_path)
    description = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps(description | {"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        OneClassDetector.load(tmp_path)


def test_what_is_missing_is_said(detectors: dict[str, OneClassDetector]) -> None:
    reference = _reference()

    def without(*folds: int) -> dict[str, ReferenceFeatures]:
        keep = ~np.isin(reference.folds, folds)
        parts = (reference.features, reference.covariates, reference.folds, reference.groups)
        return {"as_shipped": ReferenceFeatures(*(part[keep] for part in parts))}

    with pytest.raises(ValueError, match="folds 0-2"):
        fit_one_class("x", "b", "token0", without(0, 1, 2))
    with pytest.raises(ValueError, match="fold 4"):
        fit_one_class_published("x", "b", without(4))
    with pytest.raises(conformal.TooFewCalibrationScoresError, match="at least 999"):
        fit_one_class("x", "b", "token0", without(), fpr=0.001)
    mixed = {"as_shipped": dataclasses.replace(reference, groups=np.zeros_like(reference.groups))}
    with pytest.raises(ValueError, match="both fits and calibrates"):
        fit_one_class("x", "b", "token0", mixed)
    with pytest.raises(ValueError, match="pooling"):
        fit_one_class("x", "b", "max", without(), candidates=CANDIDATES[:1])
    with pytest.raises(ValueError, match="in_the_wild"):
        detectors["one_class"].score("in_the_wild", np.zeros((1, 6)), np.zeros((1, 33)))
    with pytest.raises(ValueError, match="6 features"):
        detectors["one_class_published"].score("as_shipped", np.zeros((1, 5)), np.zeros((1, 33)))
    with pytest.raises(ValueError, match="2 folds"):
        ReferenceFeatures(np.zeros((3, 2)), np.zeros((3, 33)), np.zeros(2), np.zeros(3))
