"""How strong noise is, in luma and in colour, at three scales and by brightness; and a picture's tones: 250 numbers.

Here belong the features in which ISO, sensor and processing show and which need no training. What EXIF makes of them
belongs to `tag_regression`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.content import luma, pooled, square_residual

Floats = npt.NDArray[np.float64]
Planes = npt.NDArray[np.float32]

_SCALES = (1, 2, 4)
_BLOCK = 8
_OF_ALL = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
_OF_A_TONE = (0.05, 0.15, 0.5)
# Between the tones, in luma; with fewer blocks than this a tone has no noise level.
_TONES, _FEWEST = (30, 70, 120, 180), 20
_OF_COLOURS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
# What is added before a logarithm, in grey levels: a plane without any noise has a level too.
_FLOOR = 0.02

_PER_SCALE = 3 * len(_OF_ALL) + (len(_TONES) + 1) * (3 * len(_OF_A_TONE) + 1)
COUNT = len(_SCALES) * _PER_SCALE + 3 * (len(_OF_COLOURS) + 2) + 4


def noise_levels(squares: npt.NDArray[np.uint8]) -> Floats:
    """Features (250,) of the squares (n, H, W, 3) of a picture together, sides multiples of 32; NaN where unknown.

    Planes: Y, R - G, B - G. At the scales 1, 2, 4 (average pooling) the absolute square residual
    (`content.square_residual`), averaged in blocks of 8 x 8, has by plane the log of its 2, 5, 10, 25, 50, 75 and 90%
    points among all blocks; then for each of five tones, divided at luma 30, 70, 120 and 180, the share of blocks and
    by plane the log of the 5, 15 and 50% points, if there are 20 of them. At the end by colour nine points of its
    values between .1 and 99.9%, the shares that are clipped to white (254 and more) and to black (1 and less), then
    mean and 90% point of max - min over colours, and the mean of red and of blue over that of all.
    """
    light = luma(squares)
    red, green, blue = (squares[..., channel].astype(np.float32) for channel in range(3))
    planes = light, red - green, blue - green
    found: list[float] = []
    for scale in _SCALES:
        found += _of_scale([pooled(plane, scale) for plane in planes])
    return np.array(found + _tones(squares))


def _of_scale(planes: Sequence[Planes]) -> list[float]:
    levels = np.stack([_blocks(np.abs(square_residual(plane))) for plane in planes])
    brightness = np.digitize(_blocks(planes[0][:, 1:-1, 1:-1]), _TONES)
    found: list[float] = np.log(np.quantile(levels, _OF_ALL, axis=1).T + _FLOOR).ravel().tolist()
    for tone in range(len(_TONES) + 1):
        chosen = brightness == tone
        found.append(float(chosen.mean()))
        if chosen.sum() < _FEWEST:
            found += [np.nan] * (3 * len(_OF_A_TONE))
        else:
            found += np.log(np.quantile(levels[:, chosen], _OF_A_TONE, axis=1).T + _FLOOR).ravel().tolist()
    return found


def _blocks(planes: Planes) -> Planes:
    """Means of all whole blocks of planes (n, H, W), in one row."""
    rows, columns = (length // _BLOCK * _BLOCK for length in planes.shape[1:])
    return pooled(planes[:, :rows, :columns], _BLOCK).ravel()


def _tones(squares: npt.NDArray[np.uint8]) -> list[float]:
    colours = squares.reshape(-1, 3).astype(np.float32)
    found: list[float] = []
    for values in colours.T:
        found += (np.quantile(values, _OF_COLOURS) / 255).tolist()
        found += [float((values >= 254).mean()), float((values <= 1).mean())]
    spread = colours.max(axis=1) - colours.min(axis=1)
    # One is added, for a black picture.
    whole = float(colours.mean()) + 1
    return [
        *found,
        float(spread.mean()) / 255,
        float(np.quantile(spread, 0.9)) / 255,
        float(colours[:, 0].mean()) / whole,
        float(colours[:, 2].mean()) / whole,
    ]
