"""Which residuals stand next to which: 195 numbers of a square, whatever the residuals' strength.

Here belong the co-occurrences of neighbouring residuals, in units of their own size: what is left of the noise and of
the edges of a picture once how much of them there is has been taken away. Features of this kind are those of
steganalysis (Pevny, Bas and Fridrich, "Steganalysis by subtractive pixel adjacency matrix", 2010; Fridrich and
Kodovsky, "Rich models for steganalysis of digital images", 2012), which quantise in grey levels. The density on them is
in `density`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.content import luma

LEVELS, LENGTH = 5, 3
"""Classes of a residual, and how many neighbours make a pattern."""

Floats = npt.NDArray[np.float64]
Planes = npt.NDArray[np.float32]

# Between the classes, in mean absolute residuals of the square; the least mean, in grey levels, that a flat one has.
_CUTS, _LEAST = (-1.2, -0.35, 0.35, 1.2), 0.05
# Squares at once: what they take of memory stays small, and in the caches.
_CHUNK = 16
_ALONG, _ACROSS = 2, 1


def _classes() -> npt.NDArray[np.int64]:
    """The class (125,) of each pattern: one turned round, or of the opposite sign, is the same."""
    numbers = np.arange(LEVELS**LENGTH)
    places = LEVELS ** np.arange(LENGTH - 1, -1, -1)
    patterns = numbers[:, None] // places % LEVELS
    opposite = LEVELS - 1 - patterns
    alike = [each @ places for each in (patterns, patterns[:, ::-1], opposite, opposite[:, ::-1])]
    return np.unique(np.min(alike, axis=0), return_inverse=True)[1]


_CLASS_OF = _classes()
_KINDS = int(_CLASS_OF.max()) + 1
# Sums the counts of the patterns of a class.
_GATHER = (_CLASS_OF[:, None] == np.arange(_KINDS)).astype(np.float64)
COUNT = 5 * _KINDS


def co_occurrences(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Features (n, 195) of squares (n, H, W, 3), sides of at least 16 px, of luma.

    Residuals: first and second differences, along rows and along columns, and SQ3 = [-1 2 -1; 2 -4 2; -1 2 -1] / 4.
    Each falls into one of five classes by its size in mean absolute residuals of the square. Square roots of the shares
    that the 39 patterns of three neighbours have: of first differences those along the direction of the difference,
    then those across; the same of second differences; of SQ3 both directions together. The rows do not depend on each
    other.
    """
    found = np.empty((len(pixels), COUNT))
    for start in range(0, len(pixels), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _of_planes(luma(pixels[part]))
    return found


def _of_planes(plane: Planes) -> Floats:
    shares = []
    right, down = np.diff(plane, axis=_ALONG), np.diff(plane, axis=_ACROSS)
    for rows, columns in ((right, down), (np.diff(right, axis=_ALONG), np.diff(down, axis=_ACROSS))):
        classed = _classed(rows), _classed(columns)
        shares.append(_shares(classed[0], _ALONG) + _shares(classed[1], _ACROSS))
        shares.append(_shares(classed[0], _ACROSS) + _shares(classed[1], _ALONG))
    curved = np.diff(plane, n=2, axis=_ALONG)
    # SQ3 is the second difference of second differences: [-1 2 -1] down and across, but for the sign.
    both = _classed(np.diff(curved, n=2, axis=_ACROSS) / np.float32(-4))
    shares.append(_shares(both, _ACROSS) + _shares(both, _ALONG))
    return np.sqrt(np.concatenate(shares, axis=1))


def _classed(residuals: Planes) -> npt.NDArray[np.uint8]:
    """The class, 0 to 4, of each residual (n, h, w)."""
    size = np.abs(residuals).mean(axis=(1, 2), keepdims=True) + np.float32(_LEAST)
    classed = np.zeros(residuals.shape, dtype=np.uint8)
    for cut in _CUTS:
        classed += residuals >= np.float32(cut) * size
    return classed


def _shares(classed: npt.NDArray[np.uint8], axis: int) -> Floats:
    """Shares (n, 39) of patterns of neighbours along an axis."""
    count = classed.shape[axis] - LENGTH + 1
    turned = np.moveaxis(classed, axis, -1)
    numbers = turned[..., :count]
    for start in range(1, LENGTH):
        numbers = numbers * np.uint8(LEVELS) + turned[..., start : start + count]
    counts = [np.bincount(each.ravel(), minlength=LEVELS**LENGTH) for each in numbers]
    return np.asarray(counts @ _GATHER / numbers[0].size)
