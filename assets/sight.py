"""What an answer needs of a picture file: its facts, the squares that are judged, and a small copy to show.

Cutting them from a file of unknown origin, in the guarded process that decodes it, belongs here: the whole picture
never leaves that process. What the squares say belongs to `detection.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from assets.decoding import LIMITS
from models.images import ImageError, decoded
from models.patches import spread_places
from models.squares import COUNT, SIDE, Squares, canonical
from warehouse.file_facts import Facts, look
from warehouse.file_formats import DECODED
from warehouse.guarded import Guarded
from warehouse.places import RefusedError

REGIONS = 256
"""Squares of a heat map, at most."""
SHOWN_SIDE = 1200
"""The longer side of the copy that is shown, in pixels, at most."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a heat map is drawn from: a small copy of the picture (h, w, 3), and up to 256 squares of the picture.

    `size` is the height and width of the picture itself, `orientation` how EXIF says that it is to be turned.
    `unchanged` (n, 128, 128, 3) are what EXIF is held against: the squares that are judged, their pixels as they are.
    """

    size: tuple[int, int]
    orientation: int
    picture: npt.NDArray[np.uint8]
    regions: Squares
    unchanged: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sight:
    """A picture's facts, the squares it is judged by, and what is shown of it where that is wanted."""

    facts: Facts
    squares: Squares
    shown: Shown | None


def seeing(show: bool) -> Guarded[Sight]:
    """`see` in a guarded process."""
    return Guarded(partial(see, show=show), LIMITS)


def see(data: bytes, show: bool) -> Sight:
    """What is seen of a picture's bytes. Raises RefusedError where its pixels cannot be had."""
    facts = look(data)
    if facts.width is None and facts.format not in DECODED:
        said = f"the pixels of {facts.format} files are not read: give a JPEG, PNG, TIFF, WebP, HEIC or AVIF"
        raise RefusedError("pixels_not_decoded", said)
    try:
        with decoded(data) as image:

            def cut(count: int) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
                places = spread_places(image.height, image.width, count, SIDE)
                return image.squares(places, SIDE), places

            unchanged, places = cut(COUNT)
            squares = canonical(unchanged, places)
            if not show:
                return Sight(facts, squares, None)
            size = image.height, image.width
            shown = Shown(size, image.orientation, image.small(SHOWN_SIDE), canonical(*cut(REGIONS)), unchanged)
            return Sight(facts, squares, shown)
    except ImageError as error:
        raise RefusedError(error.code, error.sentence) from None
