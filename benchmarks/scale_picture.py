"""How cost grows, drawn: what the benchmarks of scale print, as pictures for the documents.

    python -m benchmarks.scale_picture photographs.json tables.json catalogue.json --out docs

The three are what `benchmarks.scaling`, `benchmarks.big_tables` and `benchmarks.big_catalogue` print.

Writes `scale-photographs.png` (core-milliseconds a photograph) and `scale-tables.png` (seconds and memory of work on
whole tables), both by the number of photographs, on logarithmic axes. Numbers that were measured are dots; lines join
them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 600, 340, 62, 218, 36, 44
# Drawn larger and reduced, since Pillow's lines have hard edges.
_SCALE = 3
_INK, _SOFT, _GRID = (30, 30, 30), (110, 110, 110), (228, 228, 228)
# Okabe and Ito's colours, told apart by colour-blind people too.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (150, 110, 0), (0, 0, 0))
_ROW = 15


def picture(title: str, unit: str, series: Mapping[str, Points]) -> Image.Image:
    """A picture of lines through points (number of photographs, positive value), each with its name beside its end."""
    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12 * _SCALE)
    every = [point for points in series.values() for point in points]
    (left, right), (low, high) = (_decades([point[axis] for point in every]) for axis in (0, 1))
    across, down = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        """Where a point lies, of logarithms."""
        horizontal = _LEFT + (across - _LEFT) * (x - left) / (right - left)
        return horizontal * _SCALE, (down - (down - _TOP) * (y - low) / (high - low)) * _SCALE

    def text(at: tuple[float, float], said: str, anchor: str, ink: tuple[int, int, int] = _SOFT) -> None:
        draw.text(at, said, fill=ink, font=font, anchor=anchor)

    for decade in range(low, high + 1):
        draw.line([place(left, decade), place(right, decade)], fill=_GRID, width=_SCALE)
        x, y = place(left, decade)
        text((x - 6 * _SCALE, y), f"{10.0**decade:,g}" if decade < 6 else f"{10 ** (decade - 6):,}M", "rm")
    for decade in range(left, right + 1):
        draw.line([place(decade, low), place(decade, high)], fill=_GRID, width=_SCALE)
        x, y = place(decade, low)
        text((x, y + 6 * _SCALE), f"{10**decade:,}" if decade < 6 else f"{10 ** (decade - 6):,}M", "ma")
    text((_LEFT * _SCALE, 8 * _SCALE), f"{title} [{unit}]", "la", _INK)
    text(((_LEFT + across) / 2 * _SCALE, (_HEIGHT - 18) * _SCALE), "photographs", "ma")
    ends: list[tuple[float, str, tuple[int, int, int]]] = []
    for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
        drawn = [place(math.log10(x), math.log10(y)) for x, y in points]
        draw.line(drawn, fill=colour, width=2 * _SCALE, joint="curve")
        for x, y in drawn:
            draw.ellipse([x - 3 * _SCALE, y - 3 * _SCALE, x + 3 * _SCALE, y + 3 * _SCALE], fill=colour)
        ends.append((drawn[-1][1], name, colour))
    bottom = -math.inf
    for y, name, colour in sorted(ends):
        bottom = max(y, bottom + _ROW * _SCALE)
        text(((across + 10) * _SCALE, bottom), name, "lm", colour)
    return image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that hold all values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def points_of(path: Path) -> list[dict[str, Any]]:
    """What was measured at each number of photographs: the last line of what a benchmark printed."""
    points: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["points"]
    return points


def of_photographs(points: Sequence[Mapping[str, Any]]) -> dict[str, Points]:
    """Core-milliseconds a photograph, by stage."""
    return {
        stage: [(each["files"], 1000 * each["first"][stage]["core_seconds"] / each["files"]) for each in points]
        for stage in ("files", "exif_raw", "exif_second_opinion", "exif", "photos")
    } | {"nothing new": [(each["files"], 1000 * each["unchanged"]["core_seconds"] / each["files"]) for each in points]}


_OF_TABLES = {
    "a crawl, one new": ("one_new", "files"),
    "photos": ("first", "photos"),
    "exif": ("first", "exif"),
    "nothing new": ("unchanged", "all"),
}
_OF_THE_CATALOGUE = {
    "catalogue": ("catalogue_again",),
    "query `corpora`": ("queries", "corpora"),
    "query `false_positives_by_make`": ("queries", "false_positives_by_make"),
    "query `exif_coverage`": ("queries", "exif_coverage"),
}


def of_tables(
    tables: Sequence[Mapping[str, Any]], catalogue: Sequence[Mapping[str, Any]], what: str
) -> dict[str, Points]:
    """`seconds` or `peak_mb` of work on whole tables, of what was measured at several numbers."""
    drawn: dict[str, Points] = {}
    for points, named in ((tables, _OF_TABLES), (catalogue, _OF_THE_CATALOGUE)):
        paths: Mapping[str, tuple[str, ...]] = named if len(points) > 1 else {}
        for name, path in paths.items():
            drawn[name] = [(each["photographs"], max(_inside(each, *path, what), 0.01)) for each in points]
    return drawn


def _inside(value: Any, *path: str) -> float:
    for name in path:
        value = value[name]
    return float(value)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description="pictures of how cost grows")
    for name in ("photographs", "tables", "catalogue"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the pictures")
    asked = parser.parse_args()
    given = (asked.photographs, asked.tables, asked.catalogue)
    photographs, tables, catalogue = (points_of(path) for path in given)
    upper = picture("Work on whole tables", "s", of_tables(tables, catalogue, "seconds"))
    lower = picture("Its memory, all processes", "MB", of_tables(tables, catalogue, "peak_mb"))
    both = Image.new("RGB", (upper.width, upper.height + lower.height), "white")
    both.paste(upper, (0, 0))
    both.paste(lower, (0, upper.height))
    both.quantize(64).save(asked.out / "scale-tables.png", optimize=True)
    cost = picture("Cost of a photograph", "core-ms", of_photographs(photographs))
    cost.quantize(64).save(asked.out / "scale-photographs.png", optimize=True)


if __name__ == "__main__":
    main()
