"""Rows of earlier shards, on real files."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from warehouse.compute import Compute
from warehouse.reuse import EarlierShards, earlier_shards, stamped
from warehouse.shards import Quarantined, Rows, ShardWork, cut_shards, run_shards
from warehouse.store import Shard, Store

PARTITION = "set.generator"


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def rows(items: tuple[int, ...], version: str = "1") -> tuple[Rows, list[Quarantined]]:
    keys: dict[str, Any] = {"detector": "d", "detector_version": version, "dataset": "set", "track": "t"}
    return [{**keys, "perturbation": "none", "image_id": sha(n), "score": float(n), "reason": None} for n in items], []


def run(store: Store, numbers: range, made_by: object = 1) -> list[Shard]:
    cut: list[ShardWork[int]] = cut_shards("pixel_scores", numbers, sha, sha, None)
    made, _ = run_shards(
        store,
        Compute(here=True),
        "pixel_scores",
        stamped(cut, made_by),
        rows,
        partition=PARTITION,
        progress=lambda done, total: None,
    )
    return made


def earlier(store: Store, made_by: object = 1) -> EarlierShards:
    return earlier_shards(store, "pixel_scores", PARTITION, "image_id", made_by)


def test_rows_of_finished_shards_are_found_whether_committed_or_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert len(run(store, range(200))) == 4
    wanted = {sha(n) for n in (3, 150, 999)}
    found = earlier(store).rows(wanted, {"detector_version": ["1"]})
    assert sorted(found["score"]) == [3, 150]
    store.commit("pixel_scores", run(store, range(201)), partition=PARTITION)
    again = earlier(store).rows(wanted, {"detector_version": ["1"]})
    assert sorted(again["score"]) == [3, 150]


def test_rows_are_chosen_by_stamp_and_by_what_they_were_made_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, range(10))
    assert earlier(store, made_by=2).rows({sha(1)}, {"detector": ["d"]}).is_empty()
    for column, value in (("detector", "other"), ("detector_version", "2")):
        assert earlier(store).rows({sha(1)}, {column: [value]}).is_empty()
    assert len(earlier(store).rows({sha(1)}, {"detector": ["d", "other"]})) == 1


def test_only_shards_that_may_hold_a_content_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    run(store, range(200))
    found = earlier(store)
    assert len(found.files) == 4
    for path, *_ in found.files[1:]:
        path.unlink()
    low = min(sha(n) for n in range(200))
    assert found.rows({low}, {"detector": ["d"]})["image_id"].to_list() == [low]
    assert found.rows(set(), {}).is_empty()


def test_a_file_that_is_being_written_is_no_finished_shard(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, range(10))
    (path,) = store.finished("pixel_scores", PARTITION)
    for name in (".writing-abc-def.parquet", "000000.parquet"):
        path.with_name(name).write_bytes(b"half")
    assert store.finished("pixel_scores", PARTITION) == [path]
    assert store.finished("pixel_scores", "nothing") == []
