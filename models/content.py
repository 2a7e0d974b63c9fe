"""What an image shows, coarsely: 33 numbers on which its fine structure depends.

Here belong the covariates that a density of features is conditioned on and a score is normalised by (`conditioning`),
so that neither measures how busy, bright or colourful an image is. What the numbers are used for belongs there.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

COUNT = 33
SIMPLE = 7
"""The first so many covariates are residual energy at the two finest scales, and brightness."""

Floats = npt.NDArray[np.float32]

# Keeps logarithms finite where there is nothing; half a rounding step of 8-bit pixels.
_FLOOR = 0.5
_CLIPPED = (1.0, 254.0)
# Images at once: what they take of memory stays small, and in the caches.
_CHUNK = 8


def covariates(patches: npt.NDArray[np.uint8]) -> Floats:
    """Covariates (33,) of the patches (n, H, W, 3) of an image, pooled over all of them; H and W multiples of 32.

    Y, Cb, Cr as in JPEG, 0 to 255; a scale s is average pooling by s. In this order: log mean, log median and log rms
    of |SQ3 * Y| at scale 1, log mean and log median at scale 2, mean and deviation of Y; at scale 4, then at 8: log rms
    of SQ3 * Y and of second differences in four directions, log median |SQ3 * Y|, log rms of SQ3 on Cb and Cr; at scale
    4 the 10, 50 and 90% points and the deviation of the log energy of blocks of 4 x 4; log deviation and mean of Cb and
    of Cr; log share of pixels clipped to black and to white. SQ3 = [-1 2 -1; 2 -4 2; -1 2 -1] / 4.
    """
    return np.asarray(_pooled_covariates(patches[None])[0])


def covariates_each(squares: npt.NDArray[np.uint8]) -> Floats:
    """Covariates (n, 33) of squares (n, H, W, 3), each by itself: what `covariates` says of it alone."""
    found = np.empty((len(squares), COUNT), dtype=np.float32)
    for start in range(0, len(squares), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _pooled_covariates(squares[part, None])
    return found


def luma(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Y (...) of pixels (..., 3), 0 to 255."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    return np.asarray(0.299 * red + 0.587 * green + 0.114 * blue)


def pooled(planes: Floats, scale: int) -> Floats:
    """Means over blocks of scale x scale of planes (..., H, W)."""
    # Sums of strided slices: several times faster than a mean over short axes.
    across = reduce(np.add, (planes[..., start::scale] for start in range(scale)))
    down = reduce(np.add, (across[..., start::scale, :] for start in range(scale)))
    return np.asarray(down / np.float32(scale * scale))


def _pooled_covariates(patches: npt.NDArray[np.uint8]) -> Floats:
    """Covariates (m, 33) of m images of n patches each, (m, n, H, W, 3)."""
    light = luma(patches)
    chroma = [0.564 * (patches[..., 2] - light), 0.713 * (patches[..., 0] - light)]
    found: list[npt.NDArray[Any]] = []
    first, second = (_flat(np.abs(square_residual(plane))) for plane in (light, pooled(light, 2)))
    found += [_log(first.mean(axis=1)), _log(np.median(first, axis=1)), _log(_rms(first))]
    found += [_log(second.mean(axis=1)), _log(np.median(second, axis=1))]
    found += [_flat(light).mean(axis=1), _flat(light).std(axis=1)]
    coarse = {scale: [pooled(plane, scale) for plane in (light, *chroma)] for scale in (4, 8)}
    for grey, *colours in coarse.values():
        square = square_residual(grey)
        found += [_log(_rms(square)), *(_log(_rms(difference)) for difference in _second_differences(grey))]
        found += [_log(np.median(_flat(np.abs(square)), axis=1))]
        found += [_log(_rms(square_residual(plane))) for plane in colours]
    around = [(0, 0), (0, 0), (1, 1), (1, 1)]
    energy = _flat(np.log(pooled(np.pad(square_residual(coarse[4][0]), around) ** 2, 4) + _FLOOR**2))
    found += [*np.percentile(energy, (10, 50, 90), axis=1), energy.std(axis=1)]
    for plane in chroma:
        found += [_log(_flat(plane).std(axis=1)), _flat(plane).mean(axis=1)]
    dark, bright = _CLIPPED
    for clipped in (light <= dark, light >= bright):
        found.append(np.log((np.count_nonzero(_flat(clipped), axis=1) + 1) / light[0].size))
    return np.stack(found, axis=1).astype(np.float32)


def _flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.reshape(len(values), -1)


def _log(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.log(values + _FLOOR))


def _rms(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.sqrt(np.square(_flat(values)).mean(axis=1)), dtype=np.float64)


def square_residual(planes: Floats) -> Floats:
    """SQ3 of planes (..., H, W), where all neighbours are: the outer product of two second differences, over 4."""
    return np.asarray(np.diff(np.diff(planes, 2, axis=-2), 2, axis=-1) / 4, dtype=np.float32)


def _second_differences(planes: Floats) -> tuple[npt.NDArray[Any], ...]:
    """Second differences of planes (..., H, W), halved, across, down and along both diagonals."""
    middle = planes[..., 1:-1, 1:-1]
    return (
        np.diff(planes, 2, axis=-1) / 2,
        np.diff(planes, 2, axis=-2) / 2,
        (planes[..., :-2, :-2] + planes[..., 2:, 2:]) / 2 - middle,
        (planes[..., :-2, 2:] + planes[..., 2:, :-2]) / 2 - middle,
    )
