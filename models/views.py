"""The ways in which photographs reach those who judge them: resized, sharpened, compressed, cropped.

Here belong random views of photographs, by which densities and networks learn what the web makes of photographs. The
last compression, which all images pass alike, is in `squares`. Source: docs/method.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.squares import SIDE
from models.tracks import through_jpeg

Pixels = npt.NDArray[np.uint8]

MARGIN = 16
"""What is cut off in the end, so that the blocks of an earlier JPEG may lie anywhere."""
LARGEST_SIDE = 256
"""No view has a longer side than this, in px."""
SCALES = (0.25, 1.2)
"""Between which the scale is drawn, uniformly in its logarithm; with probability `UNSCALED` it is 1."""
UNSCALED, SHARPENED, COMPRESSED, ON_GRID = 0.15, 0.3, 0.8, 0.4
"""Probabilities; sharpened is only what was made smaller than `_REDUCED`."""

_REDUCED = 0.9
_FILTERS = {
    Image.Resampling.LANCZOS: 0.35,
    Image.Resampling.BICUBIC: 0.3,
    Image.Resampling.BILINEAR: 0.15,
    Image.Resampling.BOX: 0.1,
    Image.Resampling.HAMMING: 0.1,
}
# Unsharp mask: radius in px, and percent.
_RADII, _PERCENT = (0.4, 1.0), (20, 120)
# Half of the time a quality that programs choose, else any from the least to the greatest.
_USUAL_QUALITIES, _QUALITIES = (75, 80, 85, 90, 95, 96), (65, 100)
_HALVED_CHROMA = 0.7
_GRID = 8


def views(photograph: Pixels, count: int, seed: int) -> list[Pixels]:
    """Random views of a photograph (H, W, 3), the same for the same seed; see `view`. The first are those of fewer."""
    return [view(photograph, np.random.default_rng([seed, number])) for number in range(count)]


def view(photograph: Pixels, rng: np.random.Generator) -> Pixels:
    """One random view (h, w, 3) of a photograph (H, W, 3): sides of 128 to 256 px. ValueError for a side under 128 px.

    Resized by .25 to 1.2 with one of five filters, as far as the shorter side keeps 128 px; if reduced, perhaps
    sharpened; usually compressed as JPEG; then a crop at a random place, on the grid of that JPEG's blocks or off it.
    """
    height, width = photograph.shape[:2]
    if min(height, width) < SIDE:
        raise ValueError(f"a photograph of {height} x {width} px has no view: a side is under {SIDE} px")
    return _cropped(compressed(resized(photograph, rng), compression(rng)), rng)


def resized(photograph: Pixels, rng: np.random.Generator, least: int = SIDE) -> Pixels:
    """A photograph (H, W, 3) at a random size, perhaps sharpened: no side falls below `least` px, which it has."""
    filters, shares = list(_FILTERS), list(_FILTERS.values())
    picture = Image.fromarray(np.ascontiguousarray(photograph))
    smallest = max(SCALES[0], least / min(picture.size))
    scale = float(np.exp(rng.uniform(np.log(smallest), np.log(SCALES[1]))))
    if rng.random() < UNSCALED:
        return photograph
    width, height = (max(least, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), filters[int(rng.choice(len(filters), p=shares))])
    if scale < _REDUCED and rng.random() < SHARPENED:
        percent = int(rng.integers(*_PERCENT, endpoint=True))
        picture = picture.filter(ImageFilter.UnsharpMask(float(rng.uniform(*_RADII)), percent, threshold=0))
    return np.asarray(picture)


def compression(rng: np.random.Generator) -> tuple[int, str] | None:
    """Quality and chroma subsampling of an earlier JPEG, or None where there was none."""
    if rng.random() >= COMPRESSED:
        return None
    usual = rng.random() < 0.5
    quality = rng.choice(_USUAL_QUALITIES) if usual else rng.integers(*_QUALITIES, endpoint=True)
    return int(quality), "4:2:0" if rng.random() < _HALVED_CHROMA else "4:4:4"


def compressed(pixels: Pixels, earlier: tuple[int, str] | None) -> Pixels:
    """Pixels (H, W, 3) after such a JPEG."""
    if earlier is None:
        return pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=earlier[0], subsampling=earlier[1])
    with Image.open(buffer, formats=("JPEG",)) as decoded:
        return np.asarray(decoded.convert("RGB"))


def finishing(side: int, rng: np.random.Generator) -> Callable[[Pixels], Pixels]:
    """What squares (side, side, 3) pass at last: an earlier JPEG, a crop less by `MARGIN`, the last JPEG.

    The same for each that is given.
    """
    earlier = compression(rng)
    offsets = rng.integers(0, MARGIN // _GRID, 2) * _GRID if rng.random() < ON_GRID else rng.integers(0, MARGIN, 2)
    top, left = offsets.tolist()
    rest = side - MARGIN

    def finish(pixels: Pixels) -> Pixels:
        return through_jpeg(compressed(pixels, earlier)[top : top + rest, left : left + rest])

    return finish


def _cropped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = (min(side, LARGEST_SIDE) for side in pixels.shape[:2])
    step = _GRID if rng.random() < ON_GRID else 1
    most = (pixels.shape[0] - height, pixels.shape[1] - width)
    top, left = (int(rng.integers(0, room // step, endpoint=True)) * step for room in most)
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])
