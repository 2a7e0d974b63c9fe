"""Whoever asks the catalogue while a run writes sees a whole one: no error, no empty table, no half of one."""

import multiprocessing
import shutil
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.conftest import Sdaie
from warehouse.catalogue import query
from warehouse.home import Home

pytestmark = pytest.mark.slow

SWAPS = 4
COUNTS = """
SELECT
    (SELECT count(*) FROM benchmark_scores), (SELECT count(*) FROM benchmark_metrics),
    (SELECT count(*) FROM leaderboard), (SELECT count(*) FROM photos), (SELECT count(*) FROM exif_raw)
"""


def read_on(home: Home, stop: Event, found: "multiprocessing.Queue[tuple[int, set[tuple[int, ...]], str]]") -> None:
    """Ask again and again, as `sdaie query` and as any DuckDB program, and say what was seen."""
    reads, seen, error = 0, set(), ""
    while not stop.is_set() and not error:
        try:
            seen.add(tuple(query(home, COUNTS).rows[0]))
            with duckdb.connect(str(home.catalogue), read_only=True) as catalogue:
                row = catalogue.execute("SELECT count(*) FROM benchmark_scores").fetchone()
            assert row is not None
            assert row[0] > 0
            reads += 1
            stop.wait(0.1)  # a reader who asks without a pause takes a core from the run
        except Exception as problem:  # whatever it is, it is what the test is about
            error = repr(problem)
    found.put((reads, seen, error))


def test_a_reader_in_a_loop_sees_whole_catalogues_while_they_are_swapped(
    finished: Home, tmp_path: Path, sdaie: Sdaie
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    context = multiprocessing.get_context("spawn")
    stop, found = context.Event(), context.Queue()
    reader = context.Process(target=read_on, args=(home, stop, found))
    reader.start()
    try:
        runs = [sdaie(home.path, "run", "--force", "--only", "publication") for _ in range(SWAPS)]
    finally:
        stop.set()
    reads, seen, error = found.get(timeout=60)
    reader.join(60)
    assert [said.returncode for said in runs] == [0] * SWAPS, runs[-1].stderr
    assert error == ""
    assert reads > 10
    # The same tables are published again: before, during and after it there is one answer.
    assert len(seen) == 1
    assert min(next(iter(seen))) > 0
