from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from warehouse.schema import TABLES
from warehouse.shards import frame
from warehouse.store import Store


def splits(first: int, end: int) -> pl.DataFrame:
    rows = [{"group": f"{n:04d}", "fold": n % 5, "photos": n} for n in range(first, end)]
    return frame("splits", rows)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose table `splits` has row groups of seven rows."""
    monkeypatch.setitem(TABLES, "splits", replace(TABLES["splits"], row_group_rows=7))
    return Store(tmp_path)


@pytest.mark.parametrize("ends", [(0, 40), (0, 3, 3, 20, 27, 40), (0, 7, 14, 40), (0, 39, 40), (0, 0)])
def test_rows_in_parts_are_the_same_file_as_all_at_once(store: Store, ends: tuple[int, ...]) -> None:
    parts = [splits(*between) for between in pairwise(ends)]
    whole = store.write_shard("splits", pl.concat(parts).reverse(), inputs="i", beside="b")
    content = (store.folder("splits") / whole.file).read_bytes()
    (store.folder("splits") / whole.file).unlink()
    assert store.write_shard("splits", (part for part in parts), inputs="i", beside="b") == whole
    assert (store.folder("splits") / whole.file).read_bytes() == content
    groups = pq.ParquetFile(store.folder("splits") / whole.file).metadata
    assert groups.num_rows == ends[-1]
    assert max((groups.row_group(n).num_rows for n in range(groups.num_row_groups)), default=0) <= 7


@pytest.mark.parametrize("second", [(5, 12), (9, 12), (0, 3)])
def test_a_part_that_is_not_behind_the_one_before_is_refused(store: Store, second: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not behind the one before"):
        store.write_shard("splits", iter([splits(0, 10), splits(*second)]))
    assert store.finished("splits", "all") == []


def test_without_any_part_the_table_is_there_without_rows(store: Store) -> None:
    written = store.write_shard("splits", iter(()))
    store.commit("splits", [written])
    assert store.write_shard("splits", splits(0, 0)) == written
    assert store.read("splits").equals(splits(0, 0))
