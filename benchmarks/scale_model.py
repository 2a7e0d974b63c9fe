"""What 1, 10 and 100 million photographs cost, by the slopes that the other benchmarks of scale measure: a table.

    python -m benchmarks.scale_model photographs.json catalogue.json pixels.json

The three are what `benchmarks.scaling`, `benchmarks.big_catalogue` and `benchmarks.pixels` print. Stages that read
files or pixels are taken from camera originals (`pixels.json`); those on tables by their slope between the two largest
numbers of simulated photographs. Prints Markdown; the last line is one JSON object with the slopes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZES = (1_000_000, 10_000_000, 100_000_000)
_GIB = 1 << 30
READING = {
    "files": "crawl",
    "exif_raw": "EXIF, by exiftool",
    "exif_second_opinion": "EXIF, by Pillow (second opinion)",
    "crops": "crops for training",
    "photo_hashes": "perceptual hashes",
    "reference_crops": "crops of the reference",
    "reference_features": "features of the reference",
    "square_features": "features of squares of the reference",
    "benchmark_features": "features of benchmark images, an image",
}
"""Stages whose cost is that of files and pixels, as `benchmarks.pixels` names them."""
ON_TABLES = {
    "photos": "`photos`, of all",
    "exif": "rules on EXIF, of all",
    "unchanged": "finding that nothing is to do",
    "catalogue": "catalogue",
}
"""Work on whole tables."""


def slope(points: list[Mapping[str, Any]], size: str, *path: str) -> float:
    """Cost of one photograph more, between the two largest numbers of them."""
    values: list[tuple[float, float]] = []
    for point in points[-2:]:
        value: Any = point
        for name in path:
            value = value[name]
        values.append((point[size], value))
    (count, cost), (more, further) = values
    return (further - cost) / (more - count)


def slopes(photographs: Mapping[str, Any], catalogue: Mapping[str, Any], pixels: Mapping[str, Any]) -> dict[str, Any]:
    """Core-seconds and bytes of one photograph."""
    seconds = {name: pixels[name]["core_seconds_each"] for name in READING if name in pixels}
    grown = photographs["points"]
    seconds |= {
        "photos": slope(grown, "files", "first", "photos", "core_seconds"),
        "exif": slope(grown, "files", "first", "exif", "core_seconds"),
        "unchanged": slope(grown, "files", "unchanged", "core_seconds"),
        "catalogue": slope(catalogue["points"], "photographs", "catalogue_again", "core_seconds"),
    }
    stored = {
        name: slope(photographs["points"], "files", "tables", name, "bytes")
        for name in ("files", "photos", "exif", "exif_issues", "exif_pillow")
    }
    stored |= {name: pixels[name]["bytes_each"] for name in ("exif_raw", *READING) if name in pixels}
    return {"core_seconds": seconds, "bytes": stored, "bytes_of_a_file": pixels["bytes_each"]}


def markdown(found: Mapping[str, Any]) -> str:
    """The cost of 1, 10 and 100 million photographs."""
    lines = ["| | a photograph | 1 million | 10 million | 100 million |", "|---|---|---|---|---|"]
    for name, said in (READING | ON_TABLES).items():
        if name not in found["core_seconds"]:
            continue
        each = found["core_seconds"][name]
        hours = " | ".join(f"{_short(each * size / 3600)} core-h" for size in SIZES)
        lines.append(f"| {said} | {_short(1000 * each)} core-ms | {hours} |")
    for name, each in found["bytes"].items():
        room = " | ".join(f"{_short(each * size / _GIB)} GiB" for size in SIZES)
        lines.append(f"| table of `{name}` | {_short(each)} bytes | {room} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    """Two digits that count."""
    return f"{float(f'{value:.2g}'):,g}" if value < 1e6 else f"{value:,.0f}"


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description="what 1, 10 and 100 million photographs cost")
    for name in ("photographs", "catalogue", "pixels"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    given = (asked.photographs, asked.catalogue, asked.pixels)
    read = (json.loads(path.read_text(encoding="utf-8").splitlines()[-1]) for path in given)
    found = slopes(*read)
    print(markdown(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
