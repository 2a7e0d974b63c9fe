"""A curve as a small PNG, for places that show pictures but run no page of ours: the metadata of an asset.

Here belongs drawing of one line over steps. The report draws its own curves (`report_plots.py`).
"""

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 560, 200, 64, 34, 30
# Drawn larger and reduced, since Pillow's lines have hard edges.
_SCALE = 3
_INK, _SOFT, _MARK = (30, 30, 30), (120, 120, 120), (20, 95, 160)


def curve_markdown(title: str, steps: Sequence[int], values: Sequence[float]) -> str:
    """A Markdown image of the line through (steps, values); nothing for fewer than two points."""
    if len(steps) < 2:
        return ""
    data = base64.b64encode(curve_png(title, steps, values)).decode()
    return f"![{title}](data:image/png;base64,{data})"


def curve_png(title: str, steps: Sequence[int], values: Sequence[float]) -> bytes:
    """PNG, 560 x 200 px, of the line through at least two points, its ends labelled."""
    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13 * _SCALE)
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    right, bottom = _WIDTH - 16, _HEIGHT - _BOTTOM

    def place(step: int, value: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * (step - steps[0]) / (steps[-1] - steps[0])
        y = bottom - (bottom - _TOP) * (value - low) / spread
        return x * _SCALE, y * _SCALE

    axes = [(_LEFT, _TOP), (_LEFT, bottom), (right, bottom)]
    draw.line([(x * _SCALE, y * _SCALE) for x, y in axes], fill=_SOFT, width=_SCALE)
    points = [place(step, value) for step, value in zip(steps, values, strict=True)]
    draw.line(points, fill=_MARK, width=2 * _SCALE, joint="curve")

    def text(x: int, y: int, said: str, anchor: str, ink: tuple[int, int, int] = _SOFT) -> None:
        draw.text((x * _SCALE, y * _SCALE), said, fill=ink, font=font, anchor=anchor)

    text(_LEFT, 8, title, "la", _INK)
    text(_LEFT - 6, _TOP, f"{high:.3g}", "rm")
    text(_LEFT - 6, bottom, f"{low:.3g}", "rm")
    text(_LEFT, bottom + 6, f"step {steps[0]}", "la")
    text(right, bottom + 6, str(steps[-1]), "ra")
    buffer = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
