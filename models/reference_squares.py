"""The squares of a photograph that detectors learn from: of the picture as it is, and of views of it.

Here belongs which pictures are made of a photograph and by which seeds. How a view is made belongs to `views`, where
squares are taken to `squares`, what is learned of them to `parts`.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.squares import SIDE, Squares, squares
from models.tracks import TRACKS, apply_track
from models.views import view

Image = npt.NDArray[np.uint8]

VIEWS = tuple(f"view_{number}" for number in range(1, 7))
"""Names of the views of one photograph."""
# Views are drawn from a region of at most this side, so that a camera's file costs no more than a small picture.
_REGION = 1024


def reference_squares(image: Image, sha256: str) -> Iterator[tuple[str, Squares]]:
    """Squares of a photograph (H, W, 3) on each track, by its name, and of each of `VIEWS`, seeded by its SHA-256.

    Nothing where a side is under 128 px; no track that the photograph is too small for.
    """
    if min(image.shape[:2]) < SIDE:
        return
    for track in TRACKS:
        seen = apply_track(image, track).image
        if seen is not None:
            yield track, squares(seen)
    for number, name in enumerate(VIEWS):
        rng = np.random.default_rng([int(sha256[:16], 16), number])
        yield name, squares(view(region(image, rng), rng))


def region(image: Image, rng: np.random.Generator) -> Image:
    """A random part of an image, of at most `_REGION` px on each side."""
    height, width = (min(side, _REGION) for side in image.shape[:2])
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    return image[top : top + height, left : left + width]
