import numpy as np
import numpy.typing as npt
import pytest

from models.backbone import PRESETS, random_backbone
from models.density import fit_density
from models.discriminant import Described, fit_discriminant
from models.mixture import MixtureConfig
from models.parts import FeaturePart, part_of, scores_by_part
from models.square_features import CoOccurrences, CovarianceFeatures, HandFeatures, Pyramid, SquareFeatures
from models.squares import Squares, squares
from tests.models.synthetic_images import picture

PLAIN = (MixtureConfig(components=1, shrinkage=0.1),)


def seen(count: int, seed: int) -> list[Squares]:
    rng = np.random.default_rng(seed)
    return [squares(picture(rng, False, 256)) for _ in range(count)]


def discriminating(features: SquareFeatures, photographs: list[Squares], other: list[Squares]) -> FeaturePart:
    """A part that tells other squares from photographs."""
    sides = [
        Described(
            np.concatenate([features(one.pixels) for one in side]), np.concatenate([one.covariates for one in side])
        )
        for side in (photographs, other)
    ]
    groups = np.repeat(np.arange(len(photographs)), [len(one) for one in photographs])
    return FeaturePart("linear", features, fit_discriminant(sides[0], groups, sides[0], sides[1]))


def fitted(features: SquareFeatures, photographs: list[Squares]) -> FeaturePart:
    groups = np.repeat(np.arange(len(photographs)), [len(one) for one in photographs])
    values = np.concatenate([features(one.pixels) for one in photographs])
    content = np.concatenate([one.covariates for one in photographs])
    return FeaturePart("part", features, fit_density(values, content, groups, PLAIN))


COVARIANCES = CovarianceFeatures("compact", random_backbone(PRESETS["compact"], 0).eval())


@pytest.mark.parametrize("features", [HandFeatures(), CoOccurrences(), COVARIANCES, Pyramid(COVARIANCES, (1, 2))])
def test_what_is_stored_scores_alike(features: SquareFeatures) -> None:
    photographs = seen(20, 0)
    part = fitted(features, photographs)
    facts, arrays = part.stored()
    again = part_of(facts, arrays)
    assert again.name == "part"
    assert np.array_equal(again.scores(photographs[0]), part.scores(photographs[0]))
    assert again.stored()[0] == facts


class Counted(HandFeatures):
    """Counts how often it is asked."""

    asked = 0

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        type(self).asked += 1
        return super().__call__(pixels)


def test_features_that_two_parts_judge_are_computed_once() -> None:
    photographs, other = seen(20, 0), seen(20, 1)
    one = fitted(HandFeatures(), photographs)
    two = discriminating(HandFeatures(), photographs, other)
    again = part_of(*two.stored())
    assert again.stored()[0]["kind"] == "discriminant"
    together = [FeaturePart(part.name, Pyramid(Counted(), (1,)), part.judge) for part in (one, two)]
    found = scores_by_part(together, photographs[3])
    assert Counted.asked == 1
    assert np.array_equal(found["part"], one.scores(photographs[3]))
    assert np.array_equal(found["linear"], again.scores(photographs[3]))


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no part of kind 'guess'"):
        part_of({"kind": "guess"}, {})
    with pytest.raises(ValueError, match="no features of kind 'guess'"):
        part_of({"kind": "density", "name": "x", "features": {"kind": "guess"}}, {})
