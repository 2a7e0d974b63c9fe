"""Work in shards that can be killed: each shard's rows and its quarantine are written together, and never twice.

Cutting a list of contents into shards, skipping finished ones and committing the whole belong here; how a file is
written belongs to `store.py`, which processes do the work to `compute.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from warehouse.compute import Compute
from warehouse.home import digest
from warehouse.reasons import may_pass, meaning
from warehouse.schema import TABLES
from warehouse.store import WHOLE, Shard, Store, shard_bits, shard_of

Item = TypeVar("Item")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Quarantined:
    """One thing that does not go on: where it is, why (a code), and why in words."""

    source: str
    uri: str
    reason: str
    detail: str
    photo_id: str | None = None


@dataclass(frozen=True)
class ShardWork(Generic[Item]):
    """The items of one shard and the digest of what its rows are made from."""

    shard: str
    items: tuple[Item, ...]
    inputs: str


def cut_shards(
    table: str,
    items: Sequence[Item],
    sha256: Callable[[Item], str],
    made_from: Callable[[Item], object],
    settings: object,
) -> list[ShardWork[Item]]:
    """Items by the leading bits of their SHA-256, so that shards do not depend on the order of arrival.

    `made_from` is what the rows of an item depend on, `settings` what all rows do (JSON values): their digest decides
    whether a finished shard can be used again.
    """
    bits = shard_bits(len(items), TABLES[table].shard_rows)
    buckets: dict[str, list[Item]] = {}
    for item in sorted(items, key=sha256):
        buckets.setdefault(shard_of(sha256(item), bits), []).append(item)
    return [
        ShardWork(shard, tuple(bucket), digest([settings, [made_from(item) for item in bucket]]))
        for shard, bucket in sorted(buckets.items())
    ]


def run_shards(
    store: Store,
    compute: Compute,
    table: str,
    work: Sequence[ShardWork[Item]],
    function: Callable[[tuple[Item, ...]], tuple[Rows, list[Quarantined]]],
    *,
    partition: str = WHOLE,
    progress: Callable[[int, int], None],
    again: bool = False,
) -> tuple[list[Shard], list[Shard]]:
    """Rows and quarantine of every shard; the caller commits both.

    Finished ones are taken, but for `again`, and but for those whose quarantine holds a reason that may pass.

    `function` is importable and gets the items of one shard; `progress` is told items done and items in all.
    """
    finished = {} if again else _finished(store, table, partition, work)
    todo = [unit for unit in work if unit.shard not in finished]
    total = sum(len(unit.items) for unit in work)
    done = total - sum(len(unit.items) for unit in todo)
    progress(done, total)
    write = partial(_write, store.root, table, partition, function)
    for unit, shards in zip(todo, compute.map(write, todo), strict=True):
        finished[unit.shard] = shards
        done += len(unit.items)
        progress(done, total)
    pairs = [finished[unit.shard] for unit in work]
    return [rows for rows, _ in pairs], [refused for _, refused in pairs]


def _finished(
    store: Store, table: str, partition: str, work: Sequence[ShardWork[Item]]
) -> dict[str, tuple[Shard, Shard]]:
    """Rows and quarantine of the shards that were made already and have nothing to be tried again, by name."""
    quarantine = quarantine_partition(table, partition)
    made = store.find_shards(table, partition, {unit.shard: unit.inputs for unit in work})
    finished = {}
    for name, shards in made.items():
        for rows in shards:
            refused = quarantine_of(store, table, partition, rows)
            if refused and not any(map(may_pass, _reasons(store, quarantine, [refused]))):
                finished[name] = rows, refused
    return finished


def quarantine_partition(table: str, partition: str = WHOLE) -> str:
    """Where a stage keeps what it refused: named by its table, and by its partition where it has any."""
    return table if partition == WHOLE else f"{table}.{partition}"


def quarantine_of(store: Store, table: str, partition: str, rows: Shard) -> Shard | None:
    """The shard of the quarantine that was written together with a shard of rows; None where it is gone."""
    name = store.beside(table, partition, rows)
    return store.shard("quarantine", quarantine_partition(table, partition), name) if name else None


def awaits_another_try(store: Store, table: str, partition: str = WHOLE) -> bool:
    """Whether the quarantine of a table holds a reason that may pass."""
    name = quarantine_partition(table, partition)
    manifest = store.manifest("quarantine", name)
    return manifest is not None and any(map(may_pass, _reasons(store, name, manifest.shards)))


def _reasons(store: Store, partition: str, shards: Iterable[Shard]) -> set[str]:
    folder = store.folder("quarantine", partition)
    return {
        reason
        for shard in shards
        if shard.rows
        for reason in pl.read_parquet(folder / shard.file, columns=["reason"])["reason"]
    }


def quarantine_frame(stage: str, refused: Sequence[Quarantined]) -> pl.DataFrame:
    """Rows of the quarantine table. Raises KeyError for a reason that `reasons.py` does not know."""
    for q in refused:
        meaning(q.reason)
    rows = [
        {
            "stage": stage,
            "source": q.source,
            "uri": q.uri,
            "reason": q.reason,
            "detail": q.detail,
            "photo_id": q.photo_id,
        }
        for q in refused
    ]
    return frame("quarantine", rows)


def frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with exactly the table's columns and types, also where there are none."""
    empty = pl.from_arrow(TABLES[table].arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    return pl.DataFrame(rows, schema=empty.schema, orient="row", strict=True)


def _write(
    root: Path,
    table: str,
    partition: str,
    function: Callable[[tuple[Item, ...]], tuple[Rows, list[Quarantined]]],
    unit: ShardWork[Item],
) -> tuple[Shard, Shard]:
    store = Store(root)
    rows, refused = function(unit.items)
    quarantine = store.write_shard(
        "quarantine",
        quarantine_frame(table, refused),
        partition=quarantine_partition(table, partition),
        shard=unit.shard,
        inputs=unit.inputs,
    )
    written = store.write_shard(
        table,
        frame(table, rows),
        partition=partition,
        shard=unit.shard,
        inputs=unit.inputs,
        beside=quarantine.file,
    )
    return written, quarantine
