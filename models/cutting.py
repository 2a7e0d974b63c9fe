"""Training crops: where they are cut from a photograph, and how they are kept.

Choosing the places and writing the PNG belong here; reading crops back for training belongs to `crops.py`.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 256
# Where a camera's JPEG blocks begin stays known to the network: crops start on the grid of 16 (8, and 4:2:0 chroma).
_GRID = 16


@dataclass(frozen=True)
class Crop:
    """A crop of stored pixels: left and upper edge in px, and its pixels as a lossless PNG."""

    x: int
    y: int
    png: bytes


def cut_crops(image: npt.NDArray[np.uint8], count: int, seed: int, least: int = SIDE, side: int = SIDE) -> list[Crop]:
    """At most `count` different crops of an image (H, W, 3) at seeded places; none where a side is under `least` px.

    A crop has `side` px on each side, or as many as the image has. Of several random candidates for each next crop
    the one that overlaps least with those before is taken.
    """
    height, width = image.shape[:2]
    if min(height, width) < least:
        return []
    sides = min(width, side), min(height, side)
    random = np.random.default_rng(seed)
    places: list[tuple[int, int]] = []
    for _ in range(count):
        candidates = np.stack(
            [
                random.integers(0, (length - cut) // _GRID + 1, 8) * _GRID
                for length, cut in zip((width, height), sides, strict=True)
            ],
            axis=1,
        )
        overlaps = [max((_overlap(c, place, sides) for place in places), default=0) for c in candidates.tolist()]
        best = int(np.argmin(overlaps))
        if overlaps[best] == sides[0] * sides[1]:
            break
        places.append((int(candidates[best, 0]), int(candidates[best, 1])))
    return [Crop(x, y, _png(image[y : y + sides[1], x : x + sides[0]])) for x, y in places]


def _overlap(a: list[int], b: tuple[int, int], sides: tuple[int, int]) -> int:
    return max(0, sides[0] - abs(a[0] - b[0])) * max(0, sides[1] - abs(a[1] - b[1]))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
