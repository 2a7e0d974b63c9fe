"""How pixels depend on their neighbours, and how energy is spread over frequencies: 187 numbers of a square.

Here belong the features that need no training: linear predictors at three scales and the spectrum of small blocks. The
density on them is in `density`, the content they are conditioned on in `content`.
"""

from __future__ import annotations

from functools import cache, reduce

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft2

from models.content import luma, pooled

PREDICTORS, SPECTRUM = 59, 128
COUNT = PREDICTORS + SPECTRUM

Floats = npt.NDArray[np.float64]
Planes = npt.NDArray[np.float32]

# Scale, and radius of the neighbours that predict a pixel there.
_SCALES = ((1, 2), (2, 2), (4, 1))
# Half of the side of the mean that is taken off before.
_MEAN_RADIUS = 2
# The penalty on a predictor's coefficients: a share of its mean diagonal, and what a plane without content has left.
_RIDGE, _LEAST = 1e-3, 1.0
_BLOCK, _STRIDE, _CELL = 32, 16, 2
# Added to powers; rounding to 8 bits alone has some 12.
_FLOOR = 1.0
# Squares at once: what they take of memory stays small, and in the caches.
_CHUNK = 16


def hand_features(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Features (n, 187) of squares (n, H, W, 3), both sides multiples of 16 and at least 64 px, of luma on 0 to 255.

    Predictors (59): at the scales 1, 2, 4 (average pooling) of the plane less its 5 x 5 mean the weights by which
    least squares predict a pixel from all neighbours within 2, 2, 1 pixels, row by row (24, 24, 8), and after them the
    log share of the variance that they leave. Spectrum (128): log mean power, then mean log power, of blocks of
    32 x 32 px at every 16, each less its mean and under Hann's window: the mean of the frequencies up and down, 1 to 16
    of 32 both ways, in cells of 2 x 2, each map less its own mean. The rows do not depend on each other.
    """
    count = len(pixels)
    found = np.empty((count, COUNT))
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        plane = luma(pixels[part])
        predictors = [_predictors(pooled(plane, scale), radius) for scale, radius in _SCALES]
        weights, shares = zip(*predictors, strict=True)
        found[part] = np.hstack([*weights, np.stack(shares, axis=1), _spectrum(plane)])
    return found


def _predictors(planes: Planes, radius: int) -> tuple[Floats, Floats]:
    """Weights (n, taps) that predict a pixel of planes (n, H, W), and log shares (n,) of variance they leave."""
    rest = _less_mean(planes)
    side = 2 * radius + 1
    height, width = (length - side + 1 for length in rest.shape[1:])
    shifted = np.empty((len(rest), side * side, height * width), dtype=np.float32)
    for place in range(side * side):
        top, left = divmod(place, side)
        shifted[:, place] = rest[:, top : top + height, left : left + width].reshape(len(rest), -1)
    products = (shifted @ shifted.transpose(0, 2, 1)).astype(np.float64)
    middle = side * side // 2
    taps = np.delete(np.arange(side * side), middle)
    known, wanted, total = products[:, taps[:, None], taps], products[:, taps, middle], products[:, middle, middle]
    diagonal = _RIDGE * np.trace(known, axis1=1, axis2=2) / len(taps) + _LEAST
    weights = np.linalg.solve(known + diagonal[:, None, None] * np.eye(len(taps)), wanted[..., None])[..., 0]
    explained = 2 * (weights * wanted).sum(axis=1) - np.einsum("ni,nij,nj->n", weights, known, weights)
    left_over = np.maximum(total - explained, 0)
    return weights, np.log((left_over + _LEAST) / (total + _LEAST))


def _less_mean(planes: Planes) -> Planes:
    """Planes (n, H, W) less their mean over 5 x 5 pixels, where all of these are: (n, H - 4, W - 4)."""
    side = 2 * _MEAN_RADIUS + 1
    height, width = (length - side + 1 for length in planes.shape[1:])
    rows = reduce(np.add, (planes[:, top : top + height] for top in range(side)))
    sums = reduce(np.add, (rows[:, :, left : left + width] for left in range(side)))
    middle = planes[:, _MEAN_RADIUS:-_MEAN_RADIUS, _MEAN_RADIUS:-_MEAN_RADIUS]
    return np.asarray(middle - sums / np.float32(side * side))


def _spectrum(planes: Planes) -> Floats:
    """Spectrum (n, 128) of planes (n, H, W)."""
    views = np.lib.stride_tricks.sliding_window_view(planes, (_BLOCK, _BLOCK), axis=(1, 2))
    blocks = views[:, ::_STRIDE, ::_STRIDE].reshape(len(planes), -1, _BLOCK, _BLOCK)
    waves = rfft2((blocks - blocks.mean(axis=(2, 3), keepdims=True)) * _window())
    power = np.square(waves.real) + np.square(waves.imag)
    maps = (np.log(power.mean(axis=1) + _FLOOR), np.log(power + _FLOOR).mean(axis=1))
    return np.hstack([_cells(one) for one in maps])


def _cells(spectra: Planes) -> Floats:
    """Spectra (n, 32, 17) with up and down folded, in cells of 2 x 2, less their mean: (n, 64)."""
    half = _BLOCK // 2
    one_side = spectra[:, :, 1:]
    # The other frequency of each is at minus its number, of the last one it is itself.
    folded = (one_side[:, 1 : half + 1] + one_side[:, : half - 1 : -1]) / 2
    cells = folded.reshape(len(folded), half // _CELL, _CELL, half // _CELL, _CELL).mean(axis=(2, 4), dtype=np.float64)
    flat = cells.reshape(len(folded), -1)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


@cache
def _window() -> Planes:
    """Hann's window (32, 32), periodic."""
    line = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_BLOCK) / _BLOCK)
    return np.outer(line, line).astype(np.float32)
