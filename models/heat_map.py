"""The heat map: where in a picture the detector found what photographs lack.

The correction of the regions' p-values for many looks, and the drawing, belong here; scores of regions come from
`combined`. What the map means in words belongs to the page and the command that show it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from models.squares import SIDE

LEVEL = 0.05
"""A region whose corrected p-value is at most this is framed."""
STEPS = (0.5, 0.2, 0.05, 0.01)
"""Ends of the classes of p-values that have a colour, from the lightest."""
# ColorBrewer's YlOrBr of five classes (colorbrewer2.org), which people with any colour vision can order.
COLOURS = ("#ffffd4", "#fed98e", "#fe9929", "#d95f0e", "#993404")

_OPACITY = 0.62
_FRAME = "#1c00a8"
_GREY, _HATCH = "#8c8c8c", "#d8d8d8"
_LEAST_WIDTH, _MOST = 640, 1600
_FONT, _LINE, _MARGIN = 15, 26, 12

Floats = npt.NDArray[np.float64]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def adjusted(p_values: Floats) -> Floats:
    """P-values (n,) of regions, corrected by Benjamini and Yekutieli for that many looks.

    Of all that is framed, at most the share `LEVEL` is so by chance; in a photograph that is the chance that anything
    is framed at all. Regions of a picture share camera and processing in ways nobody knows, and this holds under any
    dependence. Holm's correction does too, but with some 4,000 calibration squares no p-value is small enough for 256
    looks by it; this one asks for several regions instead.
    """
    if not len(p_values):
        return p_values
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values, method="by"))


def draw(
    picture: npt.NDArray[np.uint8],
    size: tuple[int, int],
    places: npt.NDArray[np.int64],
    p_values: Floats,
    corrected: Floats,
    evidence: npt.NDArray[np.bool_],
) -> Image.Image:
    """The dimmed picture with its regions in colour.

    `picture` (h, w, 3) is a copy of any size of one of `size` (height, width), in which the squares of 128 px at places
    (n, 2) lie. A region has the colour of its own p-value, and a frame where the corrected one is at most `LEVEL`; one
    without evidence is hatched grey. What no region covers was not looked at.
    """
    small = Image.fromarray(picture)
    scale = max(1.0, min(_LEAST_WIDTH / small.width, _MOST / max(small.size)))
    small = small.resize((round(small.width * scale), round(small.height * scale)), Image.Resampling.BICUBIC)
    dimmed = Image.blend(small.convert("L").convert("RGB"), Image.new("RGB", small.size, "white"), 0.35)
    coloured = dimmed.copy()
    brush = ImageDraw.Draw(coloured)
    factors = small.height / size[0], small.width / size[1]
    boxes = [_box(place, factors) for place in places]
    for box, p_value, there in zip(boxes, p_values, evidence, strict=True):
        brush.rectangle(box, fill=colour(float(p_value)) if there else _GREY)
    blended = Image.blend(dimmed, coloured, _OPACITY)
    brush = ImageDraw.Draw(blended)
    for box, there in zip(boxes, evidence, strict=True):
        if not there:
            _hatch(brush, box)
    for box in (box for box, value in zip(boxes, corrected, strict=True) if value <= LEVEL):
        brush.rectangle(box, outline="white", width=5)
        brush.rectangle(box, outline=_FRAME, width=3)
    return blended


def colour(p_value: float) -> str:
    """The colour of a p-value."""
    return COLOURS[sum(p_value <= step for step in STEPS)]


def with_legend(drawn: Image.Image) -> bytes:
    """A drawn map above its legend, as a PNG file."""
    entries = list(zip(COLOURS, labels(), strict=True))
    rows = len(entries) + 5
    width = max(drawn.width, 560)
    page = Image.new("RGB", (width, drawn.height + 2 * _MARGIN + rows * _LINE), "white")
    page.paste(drawn, ((width - drawn.width) // 2, 0))
    brush = ImageDraw.Draw(page)
    font = ImageFont.load_default(_FONT)
    top = drawn.height + _MARGIN
    brush.text((_MARGIN, top), "Share of photographs' squares that look at least as generated:", "black", font)
    for row, (fill, label) in enumerate(entries, start=1):
        _entry(brush, top + row * _LINE, label, fill, font)
    row = len(entries) + 1
    _entry(brush, top + row * _LINE, FRAMED, None, font)
    _entry(brush, top + (row + 1) * _LINE, HATCHED, _GREY, font)
    _hatch(brush, (_MARGIN, top + (row + 1) * _LINE, _MARGIN + 28, top + (row + 1) * _LINE + 18))
    brush.text((_MARGIN, top + (row + 2) * _LINE), UNSEEN, "black", font)
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()


UNSEEN = "Not coloured: not looked at. Edits of a part are not judged."
FRAMED = "still at most 5% after correction for all regions"
HATCHED = "no evidence: smooth or clipped"


def labels() -> Sequence[str]:
    """What the colours stand for, as many as there are."""
    ends = (1.0, *STEPS, 0.0)
    return [f"at most {high:.0%}" if low == 0 else f"{low:.0%} to {high:.0%}" for high, low in pairwise(ends)]


def _entry(
    brush: ImageDraw.ImageDraw,
    top: int,
    label: str,
    fill: str | None,
    font: Font,
) -> None:
    outline = _FRAME if fill is None else "#777777"
    brush.rectangle((_MARGIN, top, _MARGIN + 28, top + 18), fill=fill, outline=outline, width=3 if fill is None else 1)
    brush.text((_MARGIN + 40, top), label, "black", font)


def _box(place: npt.NDArray[np.int64], factors: tuple[float, float]) -> tuple[int, int, int, int]:
    """Left, top, right and lower edge of a square in the drawn map, a gap away from the next."""
    top, left = place
    start = round(left * factors[1]) + 1, round(top * factors[0]) + 1
    end = round((left + SIDE) * factors[1]) - 1, round((top + SIDE) * factors[0]) - 1
    # Of a picture a thousand times as long as wide, a square is less than a pixel here.
    return (*start, max(start[0], end[0]), max(start[1], end[1]))


def _hatch(brush: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, lower = box
    for offset in range(-(lower - top), right - left, 8):
        start = max(0, offset), max(0, -offset)
        length = min(right - left - start[0], lower - top - start[1])
        brush.line((left + start[0], top + start[1], left + start[0] + length, top + start[1] + length), _HATCH, 2)
