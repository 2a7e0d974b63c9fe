"""Benchmark sets: which images a registered set names, found once and kept as long as nothing there changes.

The layouts are in `benchmark_layouts.py`. What becomes of the images belongs to the stages.
"""

import os
import time
from functools import cache
from pathlib import Path

from warehouse.benchmark_layouts import REAL, BenchmarkSet, Listing, folder_set, json_set, table_set
from warehouse.home import UserError
from warehouse.source_folder import walk_folders

__all__ = ["REAL", "BenchmarkSet", "Listing", "generators", "list_images", "read_set"]

# A file that comes within the tick of a folder's time leaves that time as it is, so a young folder proves nothing.
_YOUNG_NS = 2_000_000_000
_kept: dict[Path, tuple[dict[str, tuple[int, int]], BenchmarkSet]] = {}


def generators(source: Path) -> list[str]:
    """The generators a set has images of, `real` for its photographs; sorted. Raises UserError as `read_set`."""
    return list(read_set(source).generators)


def list_images(source: Path) -> list[Listing]:
    """All images of a set, sorted by uri. Raises UserError as `read_set`."""
    return list(read_set(source).images)


def read_set(source: Path) -> BenchmarkSet:
    """A set in a folder or in a file. Cheap where nothing was added, taken away or renamed since it was last read.

    Raises UserError where the source is not there, has no layout or more than one, or an entry cannot be understood.
    """
    try:
        if source.is_dir():
            return _folder(source)
        if not source.is_file():
            raise UserError(f"{source}: no such file or folder")
        status = source.stat()
        return _file(source, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise UserError(f"{error.filename or source}: cannot be read: {error.strerror}") from None


def _folder(root: Path) -> BenchmarkSet:
    """Kept by identity and time of change of every folder, which move when an entry of it comes, goes or is renamed."""
    if root in _kept and _unchanged(root, _kept[root][0]):
        return _kept[root][1]
    started = time.time_ns()
    folders = list(walk_folders(root))
    found = folder_set(root, ((folder, names) for folder, _, names in folders))
    stamps = {folder: stamp for folder, stamp, _ in folders}
    if max(modified for _, modified in stamps.values()) < started - _YOUNG_NS:
        _kept[root] = stamps, found
    return found


def _unchanged(root: Path, stamps: dict[str, tuple[int, int]]) -> bool:
    for folder, stamp in stamps.items():
        try:
            status = os.stat(f"{root}/{folder}")  # noqa: PTH116 (a Path for each folder costs more than the call)
        except OSError:
            return False
        if (status.st_ino, status.st_mtime_ns) != stamp:
            return False
    return True


@cache
def _file(source: Path, modified_ns: int, size: int) -> BenchmarkSet:
    return json_set(source) if source.suffix.lower() == ".json" else table_set(source)
