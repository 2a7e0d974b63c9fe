"""What the catalogue and the ready queries cost over tables of many rows, which no photographs lie behind.

    python -m benchmarks.big_catalogue [100000 1000000 10000000] [--scratch DIR] > catalogue.json

A thousand small files of the simulator go through the stages themselves; what these say of them is then repeated under
N contents of their own, in as many shards as the stages would write, in `files`, `photos`, `exif_raw`, `exif` and
`exif_issues`. `benchmark_scores` and `photo_scores` get N rows each, as in `big_tables.py`, which has the stages make
the tables and takes hours where this takes minutes. Then come the catalogue, built twice (the second time beside the
first), each ready query, and the report. Every number is of a process of its own. The last line is one JSON object,
with the rows and bytes of tables and manifests.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.big_home import write_scores
from benchmarks.measured import measured, over_sizes
from benchmarks.scaling import CORPUS, STAGES, fill, make, sizes
from warehouse.catalogue import build_catalogue, connect, query, ready_queries
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus
from warehouse.report import write_report
from warehouse.schema import TABLES
from warehouse.store import WHOLE, Store, shard_bits, shard_of

_SAMPLE = 1_000
_AT_ONCE = 1 << 18
_ONE_FILE = ("photos", "exif", "exif_issues")
_SHARDED = (("files", CORPUS), ("exif_raw", WHOLE))


def repeat(home: Home, count: int) -> None:
    """Tables of so many photographs, from those of a sample."""
    sample = Home(home.path / "sample")
    sample.path.mkdir(parents=True)
    fill(sample.path / "corpus", range(_SAMPLE))
    add_corpus(sample, CORPUS, Corpus(source=str(sample.path / "corpus")))
    for name in STAGES:
        make(sample, name)
    known, store = Store(sample.tables), Store(home.tables)
    numbered = known.read("photos", columns=["photo_id"]).with_row_index("number")
    contents = [f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}".ljust(64, "0") for number in range(count)]
    contents.sort()
    for table in _ONE_FILE:
        rows = known.read(table).join(numbered, on="photo_id")
        store.commit(table, [store.write_shard(table, _repeated(table, rows, contents))])
    for table, partition in _SHARDED:
        rows = known.read(table).join(numbered, on="photo_id")
        shards = []
        bits = shard_bits(count, TABLES[table].shard_rows)
        for shard, few in groupby(contents, partial(shard_of, bits=bits)):
            parts = _repeated(table, rows, list(few))
            shards.append(store.write_shard(table, parts, partition=partition, shard=shard))
        store.commit(table, shards, partition=partition)
    store.write("splits", known.read("splits"))


def _repeated(table: str, rows: pl.DataFrame, contents: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Rows of the sample under other contents, in order: those that the sample has under the same number."""
    size = rows["number"].max()
    assert isinstance(size, int)
    for start in range(0, len(contents), _AT_ONCE):
        few = pl.DataFrame({"photo_id": contents[start : start + _AT_ONCE]}).with_row_index("number")
        few = few.with_columns(number=pl.col("number") % (size + 1))
        found = few.join(rows.drop("photo_id"), on="number", maintain_order="left")
        if "uri" in found.columns:
            found = found.with_columns(uri=pl.col("photo_id") + ".jpg")
        yield found.select(TABLES[table].column_names)


def publish(home: Home) -> None:
    """Build the catalogue and swap it in."""
    build_catalogue(home, Store(home.tables))


def open_catalogue(home: Home) -> None:
    """What a question waits for before it is asked."""
    connect(home).close()


def write_page(home: Home) -> None:
    """The report."""
    write_report(home, {})


def measure(count: int, scratch: Path | None) -> dict[str, Any]:
    """All measurements of one number of photographs."""
    folder = Path(tempfile.mkdtemp(prefix="sdaie-catalogue-", dir=scratch))
    found: dict[str, Any] = {"photographs": count, "queries": {}}

    def told(name: str, cost: Any) -> Any:
        print(f"{count}: {name}: {cost.seconds:.2f} s, {cost.peak_mb:.0f} MB", file=sys.stderr, flush=True)
        return cost.as_json()

    try:
        home = Home(folder)
        told("simulated", measured(repeat, home, count)[1])
        told("scores", measured(write_scores, home, count)[1])
        found["catalogue"] = told("catalogue", measured(publish, home)[1])
        found["catalogue_again"] = told("catalogue again", measured(publish, home)[1])
        found["catalogue_bytes"] = home.catalogue.stat().st_size
        found["opened"] = told("opened", measured(open_catalogue, home)[1])
        for name in ready_queries():
            found["queries"][name] = told(name, measured(query, home, name)[1])
        found["report"] = told("report", measured(write_page, home)[1])
        found["tables"] = {name: facts for name, facts in sizes(home, tuple(TABLES)).items() if facts["rows"]}
        return found
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    over_sizes("catalogue and ready queries over tables of several sizes", [100_000, 1_000_000, 10_000_000], measure)
