"""How the cost of reading photographs grows with their number: crawl, tables and EXIF, at several sizes.

    python -m benchmarks.scaling [1000 10000 100000] [--scratch DIR] > photographs.json

For each size a folder is filled with so many small JPEG files, 100 in a folder, each with an EXIF block of the
simulator and contents of its own (a number in `ImageUniqueID`); one file in 100 is no picture. The pixels do not
matter: these stages read each file whole and decode none. Then the stages are run as `sdaie run` does it, each in a
process of its own: on all of it, again where nothing changed, and once more with 1% new files. Seconds and core-seconds
are the stage's own, without Python's and Dagster's start. The last line is one JSON object, with the bytes that each
table takes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.corpus import photos, splits
from assets.crawl import files
from assets.exif import exif
from assets.exif_raw import exif_raw
from assets.exif_second_opinion import exif_second_opinion
from assets.stage import Context
from benchmarks.measured import measured, over_sizes
from warehouse.cameras import MAKERS, draw_body, draw_settings
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus
from warehouse.simulated_exif import camera_exif

CORPUS = "simulated"
STAGES = {stage.name: stage for stage in (files, photos, splits, exif_raw, exif, exif_second_opinion)}
TABLES = (*(table for stage in STAGES.values() for table in stage.tables), "quarantine")
_WIDTH, _HEIGHT = 64, 48
_PLACEHOLDER = b"0" * 32
_UNIQUE_ID, _EXIF_IFD = 0xA420, 0x8769
_DIFFERENT = 1_000
_NO_PICTURE = 100
_NEW = 0.01


def templates() -> list[bytes]:
    """Small JPEG files with different EXIF, each with a place for a number of its own."""
    found = []
    for number in range(_DIFFERENT):
        rng = np.random.default_rng(number)
        body = draw_body(rng, MAKERS[number % len(MAKERS)], benchmark=False)
        exif_block = Image.Exif()
        exif_block.load(camera_exif(rng, body, draw_settings(rng, body, night_owl=0.3), _HEIGHT, _WIDTH))
        exif_block.get_ifd(_EXIF_IFD)[_UNIQUE_ID] = _PLACEHOLDER.decode()
        file = BytesIO()
        Image.new("RGB", (_WIDTH, _HEIGHT), tuple(rng.integers(256, size=3))).save(file, "JPEG", exif=exif_block)
        if file.getvalue().count(_PLACEHOLDER) != 1:
            raise ValueError("the place for a file's number is not to be told from the rest")
        found.append(file.getvalue())
    return found


def fill(corpus: Path, numbers: Sequence[int]) -> None:
    """Files of these numbers, 100 in a folder."""
    pictures = templates()
    for number in numbers:
        name = b"%032x" % number
        path = corpus / f"{number // 100:06d}" / f"{number:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        no_picture = number % _NO_PICTURE == _NO_PICTURE - 1
        path.write_bytes(name if no_picture else pictures[number % _DIFFERENT].replace(_PLACEHOLDER, name))


def make(home: Home, name: str) -> None:
    """Run a stage. Raises ValueError where it is current already."""
    stage = STAGES[name]
    context = Context(home, CORPUS) if stage.partitioned else Context(home)
    if stage.is_current(context):
        raise ValueError(f"{name} is there already")
    stage.materialise(context)


def look(home: Home) -> None:
    """Ask every stage whether there is anything to do. Raises ValueError where there is."""
    for name, stage in STAGES.items():
        if not stage.is_current(Context(home, CORPUS) if stage.partitioned else Context(home)):
            raise ValueError(f"{name} has to be made again")


def sizes(home: Home, tables: Sequence[str] = TABLES) -> dict[str, dict[str, int]]:
    """Rows and bytes of each table and of its manifests."""
    store = Context(home).store
    found = {}
    for table in tables:
        manifests = [each for each in (store.manifest(table, part) for part in store.partitions(table)) if each]
        folders = [store.folder(table, manifest.partition) for manifest in manifests]
        found[table] = {
            "rows": sum(manifest.rows for manifest in manifests),
            "bytes": sum(path.stat().st_size for path in store.paths(table)),
            "manifest_bytes": sum((folder / "manifest.json").stat().st_size for folder in folders),
        }
    return found


def measure(count: int, scratch: Path | None) -> dict[str, Any]:
    """Costs of one size: of all, of nothing new, and of 1% new."""
    folder = Path(tempfile.mkdtemp(prefix="sdaie-scaling-", dir=scratch))
    try:
        home, corpus = Home(folder / "home"), folder / "corpus"
        home.path.mkdir()
        fill(corpus, range(count))
        add_corpus(home, CORPUS, Corpus(source=str(corpus)))
        found: dict[str, Any] = {"files": count, "first": _stages(home, f"{count} files")}
        found["tables"] = sizes(home)
        _, cost = measured(look, home)
        found["unchanged"] = cost.as_json()
        print(f"{count} files, nothing new: {cost.seconds:.2f} s, {cost.peak_mb:.0f} MB", file=sys.stderr)
        fill(corpus, range(count, count + max(1, round(count * _NEW))))
        found["new"] = _stages(home, f"{count} files and 1% new")
        return found
    finally:
        shutil.rmtree(folder)


def _stages(home: Home, what: str) -> dict[str, dict[str, float]]:
    found = {}
    for name in STAGES:
        _, cost = measured(make, home, name)
        found[name] = cost.as_json()
        print(f"{what}, {name}: {cost.seconds:.2f} s, {cost.peak_mb:.0f} MB", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    over_sizes("crawl, tables and EXIF at several numbers of photographs", [1_000, 10_000, 100_000], measure)
