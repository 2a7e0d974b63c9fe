"""Perceptual hashes: pictures that look alike have hashes that differ in few bits, whatever their files.

The hash and the search for near ones belong here. Which pictures are compared, and what is said of a pair, belong to
the stages.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

from models.images import decode_small_luma

SMALL_SIDE, LOW_FREQUENCIES = 32, 8
# What a JPEG is decoded to at least before it is averaged, so that every one of the 32 x 32 areas has some pixels.
_DECODED_SIDE = 4 * SMALL_SIDE
# Grey levels of an orthonormal coefficient. Rounding and compression move one by about as much: below, bits are chance.
PLAIN = 1.0
_BLOCK = 1 << 22

NEAR = 6
"""Bits, of 63, in which the hashes of two files of one picture may differ (docs/method.md, section 6)."""


def perceptual_hash(source: bytes | Path) -> str | None:
    """The hash of an image file's stored pixels: 64 bits as 16 hexadecimal digits; None for a picture too plain.

    Luma averaged to 32 x 32, its orthonormal DCT, the 8 x 8 lowest frequencies: a bit is set where a coefficient lies
    above the median of the 63 without the mean, whose own bit, the first, is 0 (pHash; Zauner 2010). Where half of the
    coefficients are below `PLAIN`, the bits would be noise, and all plain pictures each other's likeness.

    Raises `ImageError` as `decode_rgb`.
    """
    luma = decode_small_luma(source, _DECODED_SIDE).convert("F")
    small = np.asarray(luma.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BOX), dtype=np.float64)
    coefficients = dctn(small, norm="ortho")[:LOW_FREQUENCIES, :LOW_FREQUENCIES].ravel()[1:]
    if np.median(np.abs(coefficients)) < PLAIN:
        return None
    return np.packbits(np.concatenate([[False], coefficients > np.median(coefficients)])).tobytes().hex()


def near_pairs(
    hashes_a: Sequence[str], hashes_b: Sequence[str], distance: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All pairs of hashes that differ in at most `distance` bits: places in both lists and bits, each (pairs,).

    Sorted by place in the first list, then in the second. Compares every pair, some millions at a time.
    """
    a, b = _integers(hashes_a), _integers(hashes_b)
    rows = max(1, _BLOCK // max(1, len(b)))
    found = [np.empty((3, 0), dtype=np.int64)]
    for start in range(0, len(a), rows):
        bits = np.bitwise_count(a[start : start + rows, None] ^ b[None, :])
        first, second = np.nonzero(bits <= distance)
        found.append(np.stack([first + start, second, bits[first, second]]))
    first, second, bits = np.concatenate(found, axis=1)
    return first, second, bits


def _integers(hashes: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.array([int(digits, 16) for digits in hashes], dtype=np.uint64)
