import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from warehouse.compute import Compute
from warehouse.compute_local import LocalEngine
from warehouse.place_rows import PlaceRows
from warehouse.places import Place
from warehouse.schema import TABLES
from warehouse.shards import Quarantined, Rows, ShardWork, cut_shards, frame, quarantine_frame, run_shards
from warehouse.store import Shard, Store

Item = tuple[str, int]
ITEMS: list[Item] = [(hashlib.sha256(str(n).encode()).hexdigest(), n) for n in range(10_000)]
CALLS: list[int] = []


def crew(workers: int) -> Compute:
    return Compute(LocalEngine(workers), here=workers == 1)


def cut(items: list[Item], settings: object = None) -> list[ShardWork[Item]]:
    return cut_shards("splits", items, lambda item: item[0], lambda item: item[1], settings)


def halve(items: tuple[Item, ...]) -> tuple[Rows, list[Quarantined]]:
    CALLS.append(len(items))
    rows = [{"group": sha256, "fold": 0, "photos": n} for sha256, n in items if n % 2 == 0]
    return rows, [Quarantined("s", str(n), "too_small", "not even") for _, n in items if n % 2]


def run(store: Store, work: list[ShardWork[Item]], workers: int = 1) -> tuple[list[Shard], list[Shard]]:
    return run_shards(
        store,
        crew(workers),
        "splits",
        work,
        halve,
        progress=lambda done, total: None,
    )


def test_shards_do_not_depend_on_the_order_of_arrival() -> None:
    assert cut(ITEMS) == cut(ITEMS[::-1])
    assert len(cut(ITEMS)) == 4
    assert sum(len(unit.items) for unit in cut(ITEMS)) == len(ITEMS)


def test_places_as_columns_are_cut_as_places_are() -> None:
    rows = [
        {"photo_id": sha256, "corpus": "c", "uri": f"{n}.jpg", "span": "0+9" if n % 2 else None, "size_bytes": n}
        for sha256, n in ITEMS
    ]
    columns = PlaceRows(frame("photos", [dict.fromkeys(frame("photos", []).columns) | row for row in rows]))
    places = list(columns)
    assert [columns[7], *columns[8:10]] == places[7:10]

    def units(items: Sequence[Place]) -> list[ShardWork[Place]]:
        return cut_shards("splits", items, lambda place: place.sha256, list, None)

    cut_columns, cut_places = units(columns), units(places)
    assert [replace(unit, items=tuple(unit.items)) for unit in cut_columns] == cut_places
    assert pickle.loads(pickle.dumps(cut_columns[1])).items[0] == cut_places[1].items[0]


def test_what_a_shard_is_made_from_decides_whether_it_is_used_again() -> None:
    one, *_ = cut(ITEMS)
    assert one.inputs != cut(ITEMS, settings=1)[0].inputs
    changed = [(sha256, n + 1) if sha256 == one.items[0][0] else (sha256, n) for sha256, n in ITEMS]
    again = cut(changed)
    assert again[0].inputs != one.inputs
    assert [unit.inputs for unit in again[1:]] == [unit.inputs for unit in cut(ITEMS)[1:]]


def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path) -> None:
    store, work = Store(tmp_path), cut(ITEMS)
    rows, refused = run(store, work)
    store.commit("splits", rows)
    store.commit("quarantine", refused, partition="splits")
    assert len(store.read("splits")) + len(store.read("quarantine", ["splits"])) == len(ITEMS)
    CALLS.clear()
    assert run(store, work) == (rows, refused)
    assert CALLS == []


def test_after_a_kill_only_the_missing_shards_are_done(tmp_path: Path) -> None:
    undisturbed = run(Store(tmp_path / "undisturbed"), cut(ITEMS))
    store, work = Store(tmp_path / "killed"), cut(ITEMS)
    run(store, work[:2])
    # A kill between a shard's quarantine and its rows leaves the one without the other.
    store.write_shard(
        "quarantine", quarantine_frame("splits", []), partition="splits", shard=work[2].shard, inputs=work[2].inputs
    )
    CALLS.clear()
    assert run(store, work) == undisturbed
    assert [len(unit.items) for unit in work[2:]] == CALLS


def test_one_process_and_two_make_the_same_files(tmp_path: Path) -> None:
    assert run(Store(tmp_path / "one"), cut(ITEMS)) == run(Store(tmp_path / "two"), cut(ITEMS), workers=2)


def fail(items: tuple[Item, ...]) -> tuple[Rows, list[Quarantined]]:
    raise ZeroDivisionError(f"shard of {len(items)}")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_shard_is_raised(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        run_shards(
            Store(tmp_path),
            crew(workers),
            "splits",
            cut(ITEMS),
            fail,
            progress=lambda done, total: None,
        )


def test_a_frame_without_rows_has_the_tables_types() -> None:
    for name, table in TABLES.items():
        assert frame(name, []).columns == list(table.column_names)
