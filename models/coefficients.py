"""The coefficients that JPEG keeps of squares: whole numbers, by frequency and block.

Squares have passed JPEG of a known quality last (`squares`), so that their pixels are these numbers and rounding.
What is learned of them belongs to `coding`. Source: ITU-T T.81, sections A.3 and K.1.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from scipy.fft import dctn

from models.content import luma
from models.tracks import MATCHED_QUALITY

BLOCK = 8
COUNT = BLOCK * BLOCK
"""Coefficients of a block."""


def coefficients(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Quantised coefficients (n, 64, H / 8, W / 8) of the luma of squares (n, H, W, 3), in the order of JPEG's zigzag.

    The squares are whole blocks that JPEG of quality 90 has just left: what was rounded in between is rounded away.
    """
    count, height, width = pixels.shape[:3]
    rows, columns = height // BLOCK, width // BLOCK
    blocks = luma(pixels).reshape(count, rows, BLOCK, columns, BLOCK).transpose(0, 1, 3, 2, 4) - 128
    waves = dctn(blocks, axes=(-2, -1), norm="ortho") / _steps()
    ordered = waves.reshape(count, rows, columns, COUNT)[..., zigzag()]
    return np.ascontiguousarray(np.rint(ordered).transpose(0, 3, 1, 2).astype(np.int16))


@cache
def _steps() -> npt.NDArray[np.float32]:
    """Quantisation steps (8, 8) of luma."""
    buffer = io.BytesIO()
    Image.new("L", (BLOCK, BLOCK)).save(buffer, format="JPEG", quality=MATCHED_QUALITY)
    with Image.open(buffer, formats=("JPEG",)) as image:
        assert isinstance(image, JpegImageFile)
        return np.array(image.quantization[0], dtype=np.float32).reshape(BLOCK, BLOCK)


@cache
def zigzag() -> npt.NDArray[np.int64]:
    """Places (64,) in a block of 8 x 8, row by row, from the lowest frequency to the highest."""

    def key(place: int) -> tuple[int, int]:
        row, column = divmod(place, BLOCK)
        return row + column, row if (row + column) % 2 else column

    return np.array(sorted(range(COUNT), key=key))
