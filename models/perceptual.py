"""Perceptual hashes: pictures that look alike have hashes that differ in few bits, whatever their files.

The hash and the search for near ones belong here. Which pictures are compared, and what is said of a pair, belong to
the stages.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
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
_BLOCK = 1 << 20

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

    Sorted by place in the first list, then in the second. Hashes that differ in fewer bits than they have parts agree
    in one of the parts, so only those that do are compared.
    """
    a, b = _integers(hashes_a), _integers(hashes_b)
    found = [np.empty((3, 0), dtype=np.int64)]
    for part in _parts(distance + 1):
        found += _agreeing(a, b, part, distance)
    # A pair that agrees in several parts was found as often.
    first, second, bits = np.unique(np.concatenate(found, axis=1), axis=1)
    return first, second, bits


def _parts(count: int) -> list[np.uint64]:
    """Masks that divide the 64 bits of a hash into so many parts of nearly equal size."""
    ends = [64 * number // count for number in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(ends)]


def _agreeing(
    a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64], part: np.uint64, distance: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs that are the same in a part and near as a whole: places in both lists and bits, each (3, pairs)."""
    order = np.argsort(b & part, kind="stable")
    sorted_b = (b & part)[order]
    low = np.searchsorted(sorted_b, a & part, side="left")
    high = np.searchsorted(sorted_b, a & part, side="right")
    ends = np.cumsum(high - low)
    start = 0
    while start < len(a):
        # As many of the first list as have some millions of candidates, and at least one.
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        counts = (high - low)[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        offsets = np.arange(counts.sum()) - np.repeat(ends[start:stop] - counts - done, counts)
        second = order[np.repeat(low[start:stop], counts) + offsets]
        bits = np.bitwise_count(a[first] ^ b[second])
        near = bits <= distance
        yield np.stack([first[near], second[near], bits[near]])
        start = stop


def _integers(hashes: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.array([int(digits, 16) for digits in hashes], dtype=np.uint64)
