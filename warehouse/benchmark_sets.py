"""Benchmark sets: which images a registered set names, their labels, generators and pairings.

Two layouts are read: a table (columns file, label, generator, source, paired_real) and folders
`<generator>/**/{0_real,1_fake}/*` (AIGCDetectBenchmark). What becomes of the images belongs to the stages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from warehouse.home import UserError
from warehouse.sources import file_column, read_table, walk

REAL = "real"
LABEL_FOLDERS = {"0_real": 0, "1_fake": 1}


@dataclass(frozen=True)
class Listing:
    """An image that a set names. `paired_real`: sources of photographs it is compared with; None = all."""

    uri: str
    label: int
    generator: str
    source: str
    paired_real: str | None


def generators(source: Path) -> list[str]:
    """The generators a set has images of, `real` for its photographs; sorted. Raises UserError as `list_images`."""
    return sorted({image.generator for image in list_images(source)})


def list_images(source: Path) -> list[Listing]:
    """All images of a set, sorted by uri.

    Raises UserError where the source is not there, has neither layout, or a row of the table cannot be understood.
    """
    if source.is_dir():
        images = list(_folder(source))
        if not images:
            raise UserError(f"{source}: no images in folders <generator>/**/0_real and 1_fake")
        return images
    if not source.is_file():
        raise UserError(f"{source}: no such file or folder")
    return list(_table(source, source.stat().st_mtime_ns))


def _folder(root: Path) -> Iterator[Listing]:
    for uri in sorted(walk(root)):
        parts = uri.split("/")
        label = next((LABEL_FOLDERS[part] for part in parts[1:-1] if part in LABEL_FOLDERS), None)
        if label is None:
            continue
        generator = _generator(parts[0])
        yield Listing(uri, label, generator if label else REAL, generator, generator if label else None)


@cache
def _table(source: Path, modified_ns: int) -> tuple[Listing, ...]:
    """Cached by time of change: the partitions of a set are listed from it again and again."""
    table = read_table(source)
    files = file_column(table)
    if missing := [name for name in ("label", "generator") if name not in table.columns]:
        raise UserError(f"{source}: a benchmark table needs a column {missing[0]!r}")
    images = {}
    for number, row in enumerate(table.iter_rows(named=True), start=2):
        if row["label"] not in ("0", "1"):
            raise UserError(f"{source}: line {number}: label must be 0 (photograph) or 1 (generated)")
        label = int(row["label"])
        if not row[files] or (label and not row["generator"]):
            raise UserError(f"{source}: line {number}: file or generator is missing")
        generator = _generator(row["generator"]) if label else REAL
        source_name = row.get("source") or row["generator"] or REAL
        images[row[files]] = Listing(row[files], label, generator, source_name, row.get("paired_real") or None)
    return tuple(images[uri] for uri in sorted(images))


def _generator(name: str) -> str:
    """A generator's name as a partition can carry it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "unnamed"
