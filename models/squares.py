"""The squares of an image that the detectors in the box judge, in the one form in which they see them.

Here belong the rule where they are taken and what they pass before. What is learned of them belongs to `parts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.content import covariates_each
from models.patches import cut, spread_places
from models.tracks import through_jpeg

SIDE = 128
"""Side of a square, in pixels."""
COUNT = 16
"""Squares that an image is judged by; it may have room for fewer."""


@dataclass(frozen=True, eq=False)
class Squares:
    """Squares of one image: top and left (n, 2), pixels (n, 128, 128, 3) uint8, and each one's covariates (n, 33)."""

    places: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.uint8]
    covariates: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.places)


def squares(image: npt.NDArray[np.uint8], count: int = COUNT) -> Squares:
    """At most `count` squares spread evenly over an image (H, W, 3); none where a side is under 128 px.

    They start on the grid of 8 x 8 blocks.
    """
    places = spread_places(image.shape[0], image.shape[1], count, SIDE)
    return canonical(cut(image, places, SIDE), places)


def canonical(cuts: npt.NDArray[np.uint8], places: Sequence[tuple[int, int]]) -> Squares:
    """What was cut (n, 128, 128, 3) at places, top and left, as squares.

    Each passes JPEG of quality 90 with 4:2:0 chroma: whatever format an image comes in, the last compression is the
    same, and what passed that one already hardly changes.
    """
    if not places:
        empty = np.empty((0, 2), dtype=np.int64)
        return Squares(empty, np.empty((0, SIDE, SIDE, 3), dtype=np.uint8), np.empty((0, 33)))
    pixels = through_jpeg(cuts.reshape(-1, SIDE, 3)).reshape(cuts.shape)
    return Squares(np.array(places, dtype=np.int64), pixels, covariates_each(pixels).astype(np.float64))
