"""Work in shards that can be killed: each shard's rows and its quarantine are written together, and never twice.

Cutting a list of contents into shards, skipping finished ones and committing the whole belong here; how a file is
written belongs to `store.py`, which processes do the work to `compute.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import polars as pl

from warehouse.compute import Compute, Failed
from warehouse.home import digest
from warehouse.place_rows import PlaceRows
from warehouse.places import Place, RefusedError
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
    items: Sequence[Item]
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
    return [
        ShardWork(shard, bucket, digest([settings, [made_from(item) for item in bucket]]))
        for shard, bucket in _buckets(items, sha256, bits)
    ]


def _buckets(items: Sequence[Item], sha256: Callable[[Item], str], bits: int) -> Iterator[tuple[str, Sequence[Item]]]:
    """Items by shard; those that are kept as columns stay so, since there may be millions."""
    if isinstance(items, PlaceRows):
        ordered, start = items.by_content(), 0
        for shard, members in groupby(ordered.contents(), lambda content: shard_of(content, bits)):
            end = start + sum(1 for _ in members)
            yield shard, cast(Sequence[Item], ordered[start:end])
            start = end
        return
    for shard, bucket in groupby(sorted(items, key=sha256), lambda item: shard_of(sha256(item), bits)):
        yield shard, tuple(bucket)


def refuse_place(item: Any, error: RefusedError) -> tuple[Rows, list[Quarantined]]:
    """What is left of an item that could not be worked on, where that is a Place or begins with one."""
    place = item if isinstance(item, Place) else item[0]
    assert isinstance(place, Place)
    return [], [Quarantined(place.source, place.uri, error.reason, error.detail, place.sha256)]


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
    refuse: Callable[[Item, RefusedError], tuple[Rows, list[Quarantined]]] = refuse_place,
) -> tuple[list[Shard], list[Shard]]:
    """Rows and quarantine of every shard; the caller commits both.

    Finished ones are taken, but for `again`, and but for those whose quarantine holds a reason that may pass.

    `function` is importable and gets the items of one shard; `progress` is told items done and items in all. Of a shard
    that fails, each item is tried alone; those that fail alone leave what `refuse` gives, and the others are worked on
    without them. Where all shards fail by an error, that is raised: it is not the items'.
    """
    finished = {} if again else _finished(store, table, partition, work)
    todo = [unit for unit in work if unit.shard not in finished]
    total = sum(len(unit.items) for unit in work)
    done = total - sum(len(unit.items) for unit in todo)
    progress(done, total)
    write = partial(_write, store.root, table, partition, function, refuse)
    poisoned: dict[int, Failed] = {}
    for number, outcome in compute.map(write, [_Without(unit) for unit in todo]):
        if isinstance(outcome, Failed):
            poisoned[number] = outcome
            continue
        finished[todo[number].shard] = outcome
        done += len(todo[number].items)
        progress(done, total)
    errors = [failed.error for failed in poisoned.values() if failed.error is not None]
    if errors and len(errors) == len(todo):
        raise errors[0]
    for number, failed in sorted(poisoned.items()):
        unit = todo[number]
        compute.say(f"{table}, shard {unit.shard}: {failed.detail}; looks for what it fails on")
        finished[unit.shard] = _isolated(compute, write, function, unit, failed)
        done += len(unit.items)
        progress(done, total)
    pairs = [finished[unit.shard] for unit in work]
    return [rows for rows, _ in pairs], [refused for _, refused in pairs]


@dataclass(frozen=True)
class _Without(Generic[Item]):
    """A shard to be written, and why some of its items, by their place in it, are not to be touched again."""

    unit: ShardWork[Item]
    refused: Mapping[int, RefusedError] = field(default_factory=dict)


def _isolated(
    compute: Compute,
    write: Callable[[_Without[Item]], tuple[Shard, Shard]],
    function: Callable[[tuple[Item, ...]], object],
    unit: ShardWork[Item],
    failed: Failed,
) -> tuple[Shard, Shard]:
    """A shard that failed, written without the items that fail alone, or, where that fails again, without any."""
    alone = compute.map(partial(_try_alone, function), unit.items, apart=True)
    culprits = {n: RefusedError(said.reason, said.detail) for n, said in alone if isinstance(said, Failed)}
    everything = dict.fromkeys(range(len(unit.items)), RefusedError(failed.reason, failed.detail))
    for refused in (culprits, everything) if culprits else (everything,):
        [(_, written)] = compute.map(write, [_Without(unit, refused)], apart=True)
        if not isinstance(written, Failed):
            return written
    raise failed.error or RuntimeError(failed.detail)


def _try_alone(function: Callable[[tuple[Item, ...]], object], item: Item) -> None:
    function((item,))


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
    refuse: Callable[[Item, RefusedError], tuple[Rows, list[Quarantined]]],
    work: _Without[Item],
) -> tuple[Shard, Shard]:
    store, unit = Store(root), work.unit
    items = tuple(item for n, item in enumerate(unit.items) if n not in work.refused)
    rows, refused = function(items) if items or not unit.items else ([], [])
    for n, error in work.refused.items():
        further, reasons = refuse(unit.items[n], error)
        rows, refused = [*rows, *further], [*refused, *reasons]
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
