"""What an image shows, coarsely: 33 numbers on which its fine structure depends.

Here belong the covariates that a density of features is conditioned on and a score is normalised by (`conditioning`),
so that neither measures how busy, bright or colourful an image is. What the numbers are used for belongs there.
"""

from __future__ import annotations

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


def covariates(patches: npt.NDArray[np.uint8]) -> Floats:
    """Covariates (33,) of the patches (n, 64, 64, 3) of an image, pooled over all of them.

    Y, Cb, Cr as in JPEG, 0 to 255; a scale s is average pooling by s. In this order: log mean, log median and log rms
    of |SQ3 * Y| at scale 1, log mean and log median at scale 2, mean and deviation of Y; at scale 4, then at 8: log rms
    of SQ3 * Y and of second differences in four directions, log median |SQ3 * Y|, log rms of SQ3 on Cb and Cr; at scale
    4 the 10, 50 and 90% points and the deviation of the log energy of blocks of 4 x 4; log deviation and mean of Cb and
    of Cr; log share of pixels clipped to black and to white. SQ3 = [-1 2 -1; 2 -4 2; -1 2 -1] / 4.
    """
    rgb = patches.astype(np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [0.564 * (blue - luma), 0.713 * (red - luma)]
    found: list[float] = []
    first, second = np.abs(_square(luma)), np.abs(_square(_pooled(luma, 2)))
    found += [_log(first.mean()), _log(np.median(first)), _log(_rms(first))]
    found += [_log(second.mean()), _log(np.median(second))]
    found += [float(luma.mean()), float(luma.std())]
    for scale in (4, 8):
        pooled = _pooled(luma, scale)
        square = _square(pooled)
        found += [_log(_rms(square)), *(_log(_rms(difference)) for difference in _second_differences(pooled))]
        found += [_log(np.median(np.abs(square))), *(_log(_rms(_square(_pooled(plane, scale)))) for plane in chroma)]
    energy = np.log(_pooled(np.pad(_square(_pooled(luma, 4)), ((0, 0), (1, 1), (1, 1))) ** 2, 4) + _FLOOR**2)
    found += [*np.percentile(energy, (10, 50, 90)).tolist(), float(energy.std())]
    for plane in chroma:
        found += [_log(plane.std()), float(plane.mean())]
    dark, light = _CLIPPED
    pixels = luma.size
    found += [float(np.log((np.count_nonzero(part) + 1) / pixels)) for part in (luma <= dark, luma >= light)]
    return np.array(found, dtype=np.float32)


def _log(value: float | np.floating[Any]) -> float:
    return float(np.log(value + _FLOOR))


def _rms(values: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _pooled(planes: Floats, scale: int) -> Floats:
    """Means over blocks of scale x scale of planes (n, H, W)."""
    count, height, width = planes.shape
    blocks = planes.reshape(count, height // scale, scale, width // scale, scale)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def _square(planes: Floats) -> Floats:
    """SQ3 of planes (n, H, W), where all neighbours are: the outer product of two second differences, over 4."""
    return np.asarray(np.diff(np.diff(planes, 2, axis=1), 2, axis=2) / 4, dtype=np.float32)


def _second_differences(planes: Floats) -> tuple[npt.NDArray[Any], ...]:
    """Second differences, halved, across, down and along both diagonals."""
    middle = planes[:, 1:-1, 1:-1]
    return (
        np.diff(planes, 2, axis=2) / 2,
        np.diff(planes, 2, axis=1) / 2,
        (planes[:, :-2, :-2] + planes[:, 2:, 2:]) / 2 - middle,
        (planes[:, :-2, 2:] + planes[:, 2:, :-2]) / 2 - middle,
    )
