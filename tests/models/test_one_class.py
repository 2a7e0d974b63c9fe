import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models import conformal
from models.mixture import PUBLISHED, Mixture, fit_mixture
from models.one_class import (
    OneClassDetector,
    ReferenceFeatures,
    fit_complexity,
    fit_one_class_published,
)


def _reference(n: int = 500, d: int = 6, seed: int = 0) -> ReferenceFeatures:
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // 5
    return ReferenceFeatures(rng.normal(size=(n, d)).astype(np.float32), (groups % 5).astype(np.int8), groups)


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
        "one_class_published": fit_one_class_published("one_class_published", "b1", references),
        "complexity": fit_complexity("complexity", narrow),
    }


def _features(detector: OneClassDetector, n: int, shift: float = 0) -> npt.NDArray[np.float64]:
    width = 1 if detector.pooling == "complexity" else 6
    return np.abs(np.random.default_rng(9).normal(size=(n, width)) + shift)


@pytest.mark.parametrize("name", ["one_class_published", "complexity"])
def test_strange_features_score_higher_and_are_flagged(name: str, detectors: dict[str, OneClassDetector]) -> None:
    detector = detectors[name]
    for track in ("as_shipped", "format_matched"):
        usual = detector.judge(track, _features(detector, 200))
        strange = detector.judge(track, _features(detector, 200, shift=8))
        assert strange.score.min() > usual.score.max()
        assert strange.flagged.all()
        assert strange.p_value.max() == pytest.approx(1 / 101)
        assert usual.flagged.mean() < 0.3


def test_flag_and_p_value_agree_where_photographs_calibrate(detectors: dict[str, OneClassDetector]) -> None:
    detector = detectors["complexity"]
    for shift in (0.0, 0.5, 1.0):
        judged = detector.judge("as_shipped", _features(detector, 300, shift))
        assert np.array_equal(judged.flagged, judged.p_value <= 0.05)


def test_rate_holds_on_fresh_photographs(detectors: dict[str, OneClassDetector]) -> None:
    fresh = np.abs(np.random.default_rng(3).normal(size=(5000, 1)))
    # The rate given 100 calibration scores is itself Beta(5, 96): .05 on average, .015-.11 nearly always.
    assert 0.015 < detectors["complexity"].judge("as_shipped", fresh).flagged.mean() < 0.11


def test_only_folds_0_to_2_fit_and_only_fold_4_calibrates(detectors: dict[str, OneClassDetector]) -> None:
    references = _references()
    changed = {}
    for track, reference in references.items():
        features = reference.features.copy()
        features[reference.folds == 3] = 1e6
        changed[track] = dataclasses.replace(reference, features=features)
    again = fit_one_class_published("one_class_published", "b1", changed)
    assert again.digest() == detectors["one_class_published"].digest()
    reference = references["as_shipped"]
    fit = detectors["one_class_published"].tracks["as_shipped"]
    expected = fit_mixture(reference.features[reference.folds <= 2], PUBLISHED)
    calibration = np.sort(-expected.log_likelihood(reference.features[reference.folds == 4]))
    assert np.array_equal(fit.calibration_scores, calibration)
    threshold = detectors["complexity"].tracks["as_shipped"]
    assert threshold.threshold == conformal.threshold(threshold.calibration_scores, 0.05)


def test_published_threshold_is_the_second_percent_of_the_fitting_data() -> None:
    reference = _reference()
    detector = fit_one_class_published("p", "b1", {"as_shipped": reference})
    fitting = reference.features[reference.folds <= 2]
    judged = detector.judge("as_shipped", fitting)
    assert judged.flagged.sum() == int(0.02 * len(fitting)) == 6
    assert detector.tracks["as_shipped"].threshold_from == "fitting_data"
    assert detector.pooling == "token0"
    fit = detector.tracks["as_shipped"].density
    assert isinstance(fit, Mixture)
    assert np.array_equal(judged.score, -fit_mixture(fitting, fit.config).log_likelihood(fitting))


def test_nothing_to_judge_is_no_error(detectors: dict[str, OneClassDetector]) -> None:
    judged = detectors["one_class_published"].judge("as_shipped", np.empty((0, 1)))
    assert [len(part) for part in judged] == [0, 0, 0]


def test_complexity_is_its_own_score() -> None:
    values = np.linspace(0, 5, 100)
    groups = np.arange(100)
    reference = ReferenceFeatures(values[:, None], groups % 5, groups)
    detector = fit_complexity("complexity", {"as_shipped": reference})
    assert detector.backbone is None
    assert np.array_equal(detector.score("as_shipped", [[2.5], [0.1]]), [2.5, 0.1])
    with pytest.raises(ValueError, match="one finite number"):
        detector.score("as_shipped", np.zeros((3, 2)))


@pytest.mark.parametrize("name", ["one_class_published", "complexity"])
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
    before, after = (d.judge("as_shipped", features) for d in (detector, loaded))
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
        return {
            "as_shipped": ReferenceFeatures(reference.features[keep], reference.folds[keep], reference.groups[keep])
        }

    with pytest.raises(ValueError, match="folds 0-2"):
        fit_one_class_published("x", "b", without(0, 1, 2))
    with pytest.raises(ValueError, match="fold 4"):
        fit_one_class_published("x", "b", without(4))
    narrow = {"as_shipped": dataclasses.replace(reference, features=reference.features[:, :1])}
    with pytest.raises(conformal.TooFewCalibrationScoresError, match="at least 999"):
        fit_complexity("x", narrow, fpr=0.001)
    mixed = {"as_shipped": dataclasses.replace(reference, groups=np.zeros_like(reference.groups))}
    with pytest.raises(ValueError, match="both fits and calibrates"):
        fit_one_class_published("x", "b", mixed)
    with pytest.raises(ValueError, match="pooling"):
        dataclasses.replace(detectors["complexity"], pooling="max")
    with pytest.raises(ValueError, match="in_the_wild"):
        detectors["complexity"].score("in_the_wild", np.zeros((1, 1)))
    with pytest.raises(ValueError, match="6 features"):
        detectors["one_class_published"].score("as_shipped", np.zeros((1, 5)))
    with pytest.raises(ValueError, match="2 folds"):
        ReferenceFeatures(np.zeros((3, 2)), np.zeros(2), np.zeros(3))
