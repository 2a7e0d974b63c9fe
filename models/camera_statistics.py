"""What a camera leaves in a picture, as numbers that need no network: 1,014 of them.

Here belong where they are taken and how those of squares become those of a picture. Each kind is in its own file:
`noise_levels`, `hand_features`, `co_occurrences`. What EXIF makes of them belongs to `tag_regression`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models import co_occurrences, hand_features, noise_levels
from models.patches import cut, spread_places
from models.square_features import CoOccurrences, HandFeatures, Pyramid
from models.squares import COUNT as SQUARES
from models.squares import SIDE

Floats = npt.NDArray[np.float64]

# Of squares as they are and of half the side: in one-to-one pixels of a camera the finest detail is often empty.
_FACTORS = (1, 2)
_OF_SQUARES = Pyramid(HandFeatures(), _FACTORS), Pyramid(CoOccurrences(), _FACTORS)
COUNT = len(_FACTORS) * (hand_features.COUNT + co_occurrences.COUNT) + noise_levels.COUNT


class TooSmallError(ValueError):
    """An image has no room for a square."""


def statistics_squares(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The squares (n, 128, 128, 3), at most 16 spread evenly, of an image (H, W, 3) with its pixels as they are.

    TooSmallError where a side is under 128 px.
    """
    squares = cut(image, spread_places(image.shape[0], image.shape[1], SQUARES, SIDE), SIDE)
    refuse_none(squares)
    return squares


def refuse_none(squares: npt.NDArray[np.uint8]) -> None:
    """TooSmallError where there is no square."""
    if not len(squares):
        raise TooSmallError(f"a side under {SIDE} px: no room for a square")


def camera_statistics(squares: npt.NDArray[np.uint8]) -> Floats:
    """Statistics (1014,) of the squares (n, 128, 128, 3) of a picture, n >= 1: NaN where one is unknown.

    Predictors and spectrum, and co-occurrences of residuals, each of the squares as they are and made smaller by 2,
    averaged over the squares; then noise levels of all squares together.
    """
    means = [features(squares).mean(axis=0) for features in _OF_SQUARES]
    return np.concatenate([*means, noise_levels.noise_levels(squares)])
