"""Shares before and now as a small PNG, for the metadata of an asset.

Here belongs drawing of two bars a name. A line over steps is drawn by `curve_picture.py`.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 560, 170, 500, 36, 20
# Drawn larger and reduced, since Pillow's text is small and its edges are hard.
_SCALE = 3
_INK, _SOFT, _BEFORE, _NOW, _MARKED = (30, 30, 30), (120, 120, 120), (190, 190, 190), (20, 95, 160), (190, 60, 30)


@dataclass(frozen=True)
class Shares:
    """A name with its share before and now, each from 0 to 1; `marked` is drawn in another colour."""

    name: str
    before: float
    now: float
    marked: bool


def shares_markdown(title: str, shares: Sequence[Shares]) -> str:
    """A Markdown image of the shares; nothing where there are none."""
    if not shares:
        return ""
    data = base64.b64encode(shares_png(title, shares)).decode()
    return f"![{title}](data:image/png;base64,{data})"


def shares_png(title: str, shares: Sequence[Shares]) -> bytes:
    """PNG, 560 px wide, of a grey bar (before) and a coloured one (now) for each name, 20 px high together."""
    height = _TOP + _ROW * len(shares) + 8
    image = Image.new("RGB", (_WIDTH * _SCALE, height * _SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12 * _SCALE)

    def text(x: int, y: int, said: str, anchor: str, ink: tuple[int, int, int]) -> None:
        draw.text((x * _SCALE, y * _SCALE), said, fill=ink, font=font, anchor=anchor)

    def bar(share: float, top: int, ink: tuple[int, int, int]) -> None:
        end = _LEFT + (_RIGHT - _LEFT) * share
        draw.rectangle([_LEFT * _SCALE, top * _SCALE, end * _SCALE, (top + 7) * _SCALE], fill=ink)

    text(12, 10, title, "la", _INK)
    for row, each in enumerate(shares):
        top, ink = _TOP + _ROW * row, _MARKED if each.marked else _NOW
        text(_LEFT - 8, top + 8, each.name, "rm", ink if each.marked else _SOFT)
        bar(each.before, top, _BEFORE)
        bar(each.now, top + 8, ink)
        text(_RIGHT + 8, top + 8, f"{each.now:.0%}", "lm", ink)
    buffer = io.BytesIO()
    # Dagster keeps the picture with each run; a palette makes it a quarter of the size.
    image.resize((_WIDTH, height), Image.Resampling.LANCZOS).quantize(32).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
