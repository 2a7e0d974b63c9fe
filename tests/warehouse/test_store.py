import hashlib
import os
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.home import UserError
from warehouse.schema import TABLES
from warehouse.shards import frame
from warehouse.store import Store, shard_bits, shard_of


def splits(*groups: str) -> pl.DataFrame:
    return frame("splits", [{"group": group, "fold": 0, "photos": 1} for group in groups])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_what_is_written_is_read_in_the_order_of_the_key(store: Store) -> None:
    store.write("splits", splits("b", "a"))
    assert store.read("splits")["group"].to_list() == ["a", "b"]


def test_equal_rows_make_equal_files_whatever_their_order(store: Store, tmp_path: Path) -> None:
    first = store.write("splits", splits("b", "a"))
    other = Store(tmp_path / "other")
    second = other.write("splits", splits("a", "b"))
    assert first.digest == second.digest
    (one,), (two,) = store.paths("splits"), other.paths("splits")
    assert one.read_bytes() == two.read_bytes()


def test_readers_see_what_the_manifest_names_and_nothing_else(store: Store) -> None:
    store.write("splits", splits("a"))
    store.write_shard("splits", splits("half", "done"))
    assert store.read("splits")["group"].to_list() == ["a"]


def test_files_of_the_table_before_stay_and_so_do_young_ones(store: Store) -> None:
    for group in "abc":
        store.write("splits", splits(group))
    assert len(list(store.folder("splits").glob("*.parquet"))) == 3
    for path in store.folder("splits").glob("*.parquet"):
        os.utime(path, (0, 0))
    store.write("splits", splits("d"))
    assert len(list(store.folder("splits").glob("*.parquet"))) == 2
    assert store.read("splits")["group"].to_list() == ["d"]


def test_a_finished_shard_is_found_by_its_inputs_only(store: Store) -> None:
    written = store.write_shard("splits", splits("a"), inputs="one")
    assert store.find_shards("splits", "all", {"000000": "one", "000001": "one"}) == {"000000": [written]}
    assert store.find_shards("splits", "all", {"000000": "two"}) == {}


def test_a_repeated_key_is_refused(store: Store) -> None:
    for groups in (("a", "a"), ("b", "a", "b"), ("a", "b", "b")):
        with pytest.raises(ValueError, match="1 rows repeat a key"):
            store.write("splits", splits(*groups))


def test_a_column_too_many_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="surplus"):
        store.write("splits", splits("a").with_columns(surplus=pl.lit(1)))


def test_a_table_never_written_is_empty_and_typed(store: Store) -> None:
    empty = store.read("exif")
    assert empty.is_empty()
    assert empty.columns == list(TABLES["exif"].column_names)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden"])
def test_a_partition_name_cannot_leave_its_folder(store: Store, name: str) -> None:
    with pytest.raises(UserError):
        store.folder("files", name)


def test_a_dropped_partition_is_gone_from_the_table(store: Store) -> None:
    store.write("splits", splits("a"))
    store.drop("splits", "all")
    assert store.partitions("splits") == []
    assert store.read("splits").is_empty()


def test_comments_travel_with_the_file(store: Store) -> None:
    store.write("splits", splits("a"))
    schema = pq.read_schema(store.paths("splits")[0])
    assert schema.field("fold").metadata == {b"comment": TABLES["splits"].columns[1].comment.encode()}


@given(rows=st.integers(0, 10**9), size=st.integers(1, 10_000))
def test_shards_are_no_larger_than_asked_on_average(rows: int, size: int) -> None:
    bits = shard_bits(rows, size)
    assert rows <= size << bits
    assert bits == 0 or rows > size << (bits - 1)


@given(text=st.binary(), bits=st.integers(0, 20))
def test_a_shard_is_a_function_of_content(text: bytes, bits: int) -> None:
    sha256 = hashlib.sha256(text).hexdigest()
    assert int(shard_of(sha256, bits)) == int(sha256, 16) >> (256 - bits)
    assert len(shard_of(sha256, bits)) >= 6
