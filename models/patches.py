"""Where the 64 x 64 patches of an image that is judged are taken.

What belongs here: the fixed rules for evaluation and detection. What does not: the random crops of training,
decoding, and anything that changes pixels, but for the enlargement of tiny images.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

PATCH = 64
PATCHES = 16
"""Spread patches of an image, at most, where nobody asks for another number."""
MIN_PATCHES = 4
"""With fewer spread patches than this the caller gives no verdict."""

# Patches start on the grid of 8 x 8 JPEG blocks, so that their phase does not depend on the image's size.
_GRID = 8


def all_patches(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut all non-overlapping patches from the top-left corner, row by row: (N, 64, 64, 3), N >= 1.

    The published protocol (method.md, sections 4 and 5): an image (H, W, 3) with a side under 64 px is first
    resized, bilinearly, to 64 x 64. The remainder at the right and lower edge is left out.
    """
    height, width = _shape(image)
    if min(height, width) < PATCH:
        image = np.asarray(Image.fromarray(image).resize((PATCH, PATCH), Image.Resampling.BILINEAR))
        height = width = PATCH
    rows, columns = height // PATCH, width // PATCH
    return np.asarray(tiles(image[None, : rows * PATCH, : columns * PATCH])[0])


def tiles(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The patches (n, N, 64, 64, 3), row by row, that images (n, H, W, 3) are made up of; sides multiples of 64."""
    count, height, width = images.shape[:3]
    grid = images.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    return np.ascontiguousarray(grid.transpose(0, 1, 3, 2, 4, 5)).reshape(count, -1, PATCH, PATCH, 3)


def spread_patches(image: npt.NDArray[np.uint8], count: int = PATCHES) -> npt.NDArray[np.uint8]:
    """Cut at most `count` non-overlapping patches spread evenly over the image: (n, 64, 64, 3), row by row.

    A grid of rows x columns with as many patches as fit and `count` allows; among equals the one nearest to
    the image's aspect ratio. An image of 256 x 256 gives exactly its 4 x 4 patches. Fewer than 64 px on a
    side give none.
    """
    return cut(image, spread_places(*_shape(image), count), PATCH)


def spread_places(height: int, width: int, count: int, side: int = PATCH) -> list[tuple[int, int]]:
    """Top and left of at most `count` squares of `side` px spread over an image, as `spread_patches` has them."""
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    rows, columns = _grid_shape(height, width, count, side)
    return [(top, left) for top in _starts(height, rows, side) for left in _starts(width, columns, side)]


def cut(image: npt.NDArray[np.uint8], places: Sequence[tuple[int, int]], side: int) -> npt.NDArray[np.uint8]:
    """The squares (n, side, side, 3) of an image (H, W, 3) at places."""
    squares = np.empty((len(places), side, side, 3), dtype=np.uint8)
    for index, (top, left) in enumerate(places):
        squares[index] = image[top : top + side, left : left + side]
    return squares


def _shape(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a uint8 array (H, W, 3), got {image.dtype} {image.shape}")
    if min(image.shape) == 0:
        raise ValueError("the image has no pixels")
    return image.shape[0], image.shape[1]


def _grid_shape(height: int, width: int, count: int, side: int) -> tuple[int, int]:
    most_rows, most_columns = height // side, width // side
    if most_rows == 0 or most_columns == 0:
        return 0, 0
    shapes = [(rows, min(most_columns, count // rows)) for rows in range(1, min(most_rows, count) + 1)]

    def preference(shape: tuple[int, int]) -> tuple[int, float]:
        rows, columns = shape
        return rows * columns, -abs(math.log(columns / rows) - math.log(width / height))

    return max(shapes, key=preference)


def _starts(length: int, count: int, side: int) -> list[int]:
    slack = length - side
    if count == 1:
        return [slack // 2 // _GRID * _GRID]
    return [index * slack // (count - 1) // _GRID * _GRID for index in range(count)]
