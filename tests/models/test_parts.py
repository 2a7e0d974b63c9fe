import numpy as np
import pytest

from models.backbone import PRESETS, random_backbone
from models.density import fit_density
from models.mixture import MixtureConfig
from models.parts import DensityPart, part_of
from models.square_features import CovarianceFeatures, HandFeatures, Pyramid, SquareFeatures
from models.squares import Squares, squares
from tests.models.synthetic_images import picture

PLAIN = (MixtureConfig(components=1, shrinkage=0.1),)


def seen(count: int, seed: int) -> list[Squares]:
    rng = np.random.default_rng(seed)
    return [squares(picture(rng, False, 256)) for _ in range(count)]


def fitted(features: SquareFeatures, photographs: list[Squares]) -> DensityPart:
    groups = np.repeat(np.arange(len(photographs)), [len(one) for one in photographs])
    values = np.concatenate([features(one.pixels) for one in photographs])
    content = np.concatenate([one.covariates for one in photographs])
    return DensityPart("part", features, fit_density(values, content, groups, PLAIN))


COVARIANCES = CovarianceFeatures("compact", random_backbone(PRESETS["compact"], 0).eval())


@pytest.mark.parametrize("features", [HandFeatures(), COVARIANCES, Pyramid(COVARIANCES, (1, 2))])
def test_what_is_stored_scores_alike(features: SquareFeatures) -> None:
    photographs = seen(20, 0)
    part = fitted(features, photographs)
    facts, arrays = part.stored()
    again = part_of(facts, arrays)
    assert again.name == "part"
    assert np.array_equal(again.scores(photographs[0]), part.scores(photographs[0]))
    assert again.stored()[0] == facts


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no part of kind 'guess'"):
        part_of({"kind": "guess"}, {})
    with pytest.raises(ValueError, match="no features of kind 'guess'"):
        part_of({"kind": "density", "name": "x", "features": {"kind": "guess"}}, {})
