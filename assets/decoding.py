"""Pixels of files of unknown origin, decoded in a guarded process.

Which files are decoded, and under which limits, belongs here; how, to `models/images.py`, and the guard itself to
`warehouse/guarded.py`. Stages call what these functions give as `with decoding() as decode: decode(data)`; those that
need pixels alone go through `pictures.py`.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.images import ImageError, decode_rgb
from warehouse.file_formats import DECODED, format_of
from warehouse.guarded import Guarded, Limits
from warehouse.places import RefusedError

LIMITS = Limits(seconds=120, memory_bytes=1536 << 20)
"""120 megapixels take 480 MB in Pillow and 360 MB as RGB, beside the file and what its codec needs."""
Result = TypeVar("Result")


def decoding() -> Guarded[npt.NDArray[np.uint8]]:
    """`pixels` in a guarded process."""
    return Guarded(pixels, LIMITS)


def hashing() -> Guarded[str | None]:
    """`picture_hash` in a guarded process."""
    return Guarded(picture_hash, LIMITS)


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    """An image file as RGB, (H, W, 3), as `decode_rgb` has it. Raises RefusedError where its pixels cannot be had."""
    return _taken(decode_rgb, data)


def picture_hash(data: bytes) -> str | None:
    """The perceptual hash of an image file, None for one too plain. Raises RefusedError as `pixels`."""
    from models.perceptual import perceptual_hash

    return _taken(perceptual_hash, data)


def _taken(read: Callable[[bytes], Result], data: bytes) -> Result:
    kind = format_of(data)
    if kind not in DECODED:  # Pillow would take the small preview in a raw file for the picture
        raise RefusedError("pixels_not_decoded", f"the pixels of {kind} files are not read; their EXIF is")
    try:
        return read(data)
    except ImageError as error:
        raise RefusedError(error.code, error.sentence) from None
