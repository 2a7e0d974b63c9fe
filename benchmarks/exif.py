"""EXIF of a folder of photographs: ours against the exiftool command line and pyexiftool; a crawl against the next one.

    python -m benchmarks.exif FOLDER [--files N] [--repeats 5] [--recrawl 10000]

Reading. The same photographs, those that the crawl of the folder takes (at most N of them), are read in three ways, one
after the other, as often as `--repeats` says; the medians count:

- the command line: one `exiftool -json -n -G1 -fast` for all files, its output read from a pipe;
- pyexiftool as it comes: `ExifToolHelper.get_metadata` with the same options, 100 files at a time;
- ours: the stage `exif_raw` whole, from the table `photos` to its Parquet files and manifest, guard and removal of
  private tags included. It does not ask for exiftool's composite tags, which are derived from the others, and it uses
  as many exiftool processes as there are cores; both are why it is faster.

`peak_mb` is the most memory (resident, summed over this process and all below it, so that shared pages count more than
once; sampled every 10 ms) in one more run of ours.

The next crawl. A temporary folder is filled with `--recrawl` JPEG files of FOLDER; where there are fewer, they are
repeated with a number of 8 bytes behind the end of the picture, which makes them other files with the same EXIF. The
stages `files`, `photos`, `exif_raw` and `exif` are run, then asked again whether they are current, as `sdaie run` does
it. `recrawl_share` is the time of the second over that of the first. Dagster's start is no part of either and is given
apart: how long a new process takes to load the definitions.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import exiftool
import polars as pl

from assets.corpus import photo_places, photos
from assets.crawl import files
from assets.exif import exif
from assets.exif_raw import exif_raw, exiftool_version
from assets.stage import Context, Stage
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus
from warehouse.source_folder import walk

OPTIONS = ("-n", "-G1", "-fast")
CORPUS = "folder"
BATCH = 100
JPEG = {".jpeg", ".jpg"}
STAGES = (files, photos, exif_raw, exif)
_SAMPLE_SECONDS = 0.01


def command_line(paths: Sequence[Path]) -> None:
    """One exiftool for all files, as people run it."""
    with tempfile.NamedTemporaryFile("w", suffix=".args") as names:
        names.write("\n".join(map(str, paths)))
        names.flush()
        # It exits with 1 where a single file has an error.
        said = subprocess.run(["exiftool", "-json", *OPTIONS, "-@", names.name], capture_output=True, check=False)
    if len(json.loads(said.stdout)) != len(paths):
        raise ValueError("the command line did not answer for every file")


def pyexiftool(paths: Sequence[Path]) -> None:
    """pyexiftool as it comes."""
    with exiftool.ExifToolHelper(common_args=list(OPTIONS), check_execute=False) as helper:
        read = [helper.get_metadata(paths[start : start + BATCH]) for start in range(0, len(paths), BATCH)]
    if sum(map(len, read)) != len(paths):
        raise ValueError("pyexiftool did not answer for every file")


def ours(home: Home) -> None:
    """The read stage whole."""
    manifest, product = exif_raw.materialise(Context(home, force=True))
    if manifest.rows + int(product.numbers["quarantined"]) != product.numbers["photographs"]:
        raise ValueError("our stage did not answer for every file")


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def crawled(home: Home, source: Path) -> list[Path]:
    """Crawl a folder or a table of files into a new home; the photographs found, by content."""
    add_corpus(home, CORPUS, Corpus(source=str(source)))
    files.materialise(Context(home, CORPUS))
    photos.materialise(Context(home))
    folder = source if source.is_dir() else source.parent
    return [folder / place.uri for place in photo_places(Context(home).store.read("photos"))]


def measure_reading(folder: Path, limit: int | None, repeats: int) -> dict[str, Any]:
    """Ratios, rates and peak memory of the three ways over the photographs of a folder."""
    with tempfile.TemporaryDirectory(prefix="sdaie-benchmark-") as scratch:
        home, table = Home(Path(scratch, "home")), Path(scratch, "files.csv")
        home.path.mkdir()
        named = sorted(str(folder.resolve() / uri) for uri in walk(folder))
        pl.DataFrame({"file": named[:limit]}).write_csv(table)
        paths = crawled(home, table)
        ways: dict[str, Callable[[], None]] = {
            "cli": lambda: command_line(paths),
            "pyexiftool": lambda: pyexiftool(paths),
            "ours": lambda: ours(home),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                taken[name].append(seconds_of(way))
            print(", ".join(f"{name} {seconds[-1]:.2f} s" for name, seconds in taken.items()), flush=True)
        with peak_memory() as peak:
            ours(home)
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return {
        "files": len(paths),
        "cores": len(os.sched_getaffinity(0)),
        "repeats": repeats,
        **{f"{name}_files_per_second": round(len(paths) / seconds, 1) for name, seconds in median.items()},
        "ratio_vs_cli": round(median["cli"] / median["ours"], 2),
        "ratio_vs_pyexiftool": round(median["pyexiftool"] / median["ours"], 2),
        "peak_mb": round(max(peak) / 1e6),
    }


def measure_recrawl(folder: Path, wanted: int) -> dict[str, Any]:
    """The time of the second run over that of the first, when nothing changed."""
    with tempfile.TemporaryDirectory(prefix="sdaie-benchmark-") as scratch:
        home, corpus = Home(Path(scratch, "home")), Path(scratch, "corpus")
        home.path.mkdir()
        fill(corpus, folder, wanted)
        add_corpus(home, CORPUS, Corpus(source=str(corpus)))
        first = {stage.name: seconds_of(partial(run, stage, home, current=False)) for stage in STAGES}
        exiftool_version.cache_clear()  # as in a new process
        second = {stage.name: seconds_of(partial(run, stage, home, current=True)) for stage in STAGES}
        found = Context(home).store.read("photos", columns=["photo_id"])
    for name, seconds in first.items():
        print(f"{name}: first {seconds:.2f} s, again {second[name]:.3f} s")
    load = [sys.executable, "-c", "import pipelines.definitions"]
    return {
        "recrawl_files": len(found),
        "first_seconds": round(sum(first.values()), 2),
        "recrawl_seconds": round(sum(second.values()), 3),
        "recrawl_share": round(sum(second.values()) / sum(first.values()), 4),
        "dagster_start_seconds": round(seconds_of(lambda: subprocess.run(load, check=True)), 2),
    }


def run(stage: Stage, home: Home, *, current: bool) -> None:
    """What `sdaie run` does with a stage that is expected to be current, or not."""
    context = Context(home, CORPUS) if stage.partitioned else Context(home)
    if stage.is_current(context) != current:
        raise ValueError(f"{stage.name} {'has to be made again' if current else 'is there already'}")
    if not current:
        stage.materialise(context)


def fill(corpus: Path, folder: Path, wanted: int) -> None:
    """Copies of the JPEG files of a folder, each of its own content, 100 in a folder."""
    originals = [path for path in sorted(folder / uri for uri in walk(folder)) if path.suffix.lower() in JPEG]
    if not originals:
        raise SystemExit(f"{folder}: no JPEG files to make a corpus of")
    for number in range(wanted):
        data = originals[number % len(originals)].read_bytes()
        path = corpus / f"{number // 100:05d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data + number.to_bytes(8) if number >= len(originals) else data)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """A list to which the resident bytes of this process and all below it are added as long as the block runs."""
    samples = [0]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            samples.append(sum(map(resident_bytes, processes(os.getpid()))))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def processes(root: int) -> list[int]:
    """A process and all below it, from /proc."""
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it has just ended
                continue
    return found


def resident_bytes(process: int) -> int:
    """Memory of a process, 0 where it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="EXIF against exiftool and pyexiftool; a crawl against the next one")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, help="read the first so many files only")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recrawl", type=int, default=10_000, help="files of the second measurement")
    asked = parser.parse_args()
    reading = measure_reading(asked.folder, asked.files, asked.repeats)
    print(json.dumps(reading | measure_recrawl(asked.folder, asked.recrawl)))


if __name__ == "__main__":
    main()
