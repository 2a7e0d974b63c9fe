"""Kinds of features of squares, by themselves and in a pyramid."""

import numpy as np
import numpy.typing as npt
import pytest

from models.backbone import PRESETS, random_backbone
from models.co_occurrences import co_occurrences
from models.hand_features import hand_features
from models.square_features import (
    CoOccurrences,
    CovarianceFeatures,
    HandFeatures,
    Pyramid,
    SquareFeatures,
    reduced,
)
from models.squares import SIDE, squares
from tests.models.synthetic_images import picture

COVARIANCES = CovarianceFeatures("compact", random_backbone(PRESETS["compact"], 0).eval())


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    return squares(picture(np.random.default_rng(1), False, 256)).pixels


def test_hand_features_are_known_by_their_kind(pixels: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(HandFeatures()(pixels), hand_features(pixels))
    assert HandFeatures().stored() == ({"kind": "handmade"}, {})


def test_covariances_are_means_over_the_patches_of_a_square(pixels: npt.NDArray[np.uint8]) -> None:
    patches = pixels.reshape(-1, 2, 64, 2, 64, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 64, 64, 3)
    alone = COVARIANCES(np.ascontiguousarray(patches)).reshape(len(pixels), 4, -1)
    assert COVARIANCES(pixels) == pytest.approx(alone.mean(axis=1), rel=1e-4, abs=1e-5)


def test_co_occurrences_are_known_by_their_kind(pixels: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(CoOccurrences()(pixels), co_occurrences(pixels))
    assert CoOccurrences().stored() == ({"kind": "co_occurrences"}, {})


@pytest.mark.parametrize("features", [HandFeatures(), CoOccurrences(), COVARIANCES])
def test_a_pyramid_holds_the_features_of_each_scale(features: SquareFeatures, pixels: npt.NDArray[np.uint8]) -> None:
    found = Pyramid(features, (1, 2))(pixels)
    assert found == pytest.approx(np.hstack([features(pixels), features(reduced(pixels, 2))]), rel=1e-4, abs=1e-5)


def test_detail_of_single_pixels_is_gone_at_the_coarser_scales() -> None:
    rows, columns = np.indices((SIDE, SIDE))
    chessboard = np.where((rows + columns) % 2, 168, 88).astype(np.uint8)[None, :, :, None].repeat(3, axis=-1)
    grey = np.full_like(chessboard, 128)
    one, other = (np.split(Pyramid(HandFeatures(), (1, 2))(each), 2, axis=1) for each in (chessboard, grey))
    assert not np.allclose(one[0], other[0])
    assert np.allclose(one[1], other[1])


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_made_smaller_by_means(factor: int, pixels: npt.NDArray[np.uint8]) -> None:
    found = reduced(pixels, factor)
    assert found.dtype == np.uint8
    assert found.shape == (len(pixels), SIDE // factor, SIDE // factor, 3)
    corner = pixels[:, :factor, -factor:].astype(float).mean(axis=(1, 2))
    assert np.abs(found[:, 0, -1] - corner).max() <= 0.5
