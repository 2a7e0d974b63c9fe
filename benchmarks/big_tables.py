"""How the cost of tables grows with their rows: stages over whole tables, and runs with nothing or one thing to do.

    python -m benchmarks.big_tables [100000 1000000 10000000] [--scratch DIR] > tables.json

For each number N a home is made with N simulated photographs (`big_home.py`). On it the stages themselves make
`photos`, `splits`, `exif_raw` (which finds everything finished), `exif` and `exif_second_opinion`, are asked whether
anything is to do, and run once more with one new photograph. Then comes one `sdaie run` of the group `corpus` with one
more photograph, through Dagster, with what it adds to Dagster's history. Catalogue and queries are in
`big_catalogue.py`.

Every number is of a process of its own: seconds and core-seconds without Python's start, and the most memory of all its
processes. The last line is one JSON object.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.big_home import make_corpus, write_exif, write_files
from benchmarks.measured import measured, over_sizes
from benchmarks.scaling import STAGES, fill, look, make, sizes
from pipelines.run import run
from warehouse.home import Home
from warehouse.schema import TABLES


def run_corpus(home: Home) -> None:
    """`sdaie run --only corpus`. Raises ValueError where there is nothing to do."""
    if not run(home, lambda message: None, groups=("corpus",)):
        raise ValueError("nothing was to do")


def history_bytes(home: Home) -> int:
    """What Dagster keeps."""
    return sum(path.stat().st_size for path in home.dagster.rglob("*") if path.is_file())


class Sizes:
    """The measurements of one number of photographs, printed as they come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.found: dict[str, Any] = {"photographs": count}

    def measure(self, group: str, name: str, function: Callable[..., object], *arguments: object) -> None:
        """Measure one thing and keep it."""
        _, cost = measured(function, *arguments)
        self.found.setdefault(group, {})[name] = cost.as_json()
        said = f"{self.count}: {group}, {name}: {cost.seconds:.2f} s, {cost.peak_mb:.0f} MB"
        print(said, file=sys.stderr, flush=True)


def measure(count: int, scratch: Path | None) -> dict[str, Any]:
    """All measurements of one number of photographs."""
    folder = Path(tempfile.mkdtemp(prefix="sdaie-big-", dir=scratch))
    try:
        home, here = Home(folder), Sizes(count)
        here.measure("simulated", "corpus", make_corpus, home, count)
        here.measure("simulated", "files", write_files, home, count)
        for name in ("photos", "splits"):
            here.measure("first", name, make, home, name)
        here.measure("simulated", "exif", write_exif, home)
        for name in ("exif_raw", "exif", "exif_second_opinion"):
            here.measure("first", name, make, home, name)
        here.measure("unchanged", "all", look, home)
        fill(home.path / "corpus", [count])
        for name in STAGES:
            here.measure("one_new", name, make, home, name)
        fill(home.path / "corpus", [count + 1])
        here.measure("run", "one_new", run_corpus, home)
        before = history_bytes(home)
        fill(home.path / "corpus", [count + 2])
        here.measure("run", "one_more", run_corpus, home)
        here.found["history_bytes_per_run"] = history_bytes(home) - before
        here.found["tables"] = sizes(home, tuple(TABLES))
        return here.found
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    over_sizes("stages over whole tables at several sizes", [100_000, 1_000_000, 10_000_000], measure)
