"""Rows of earlier shards, taken over where a shard is made anew: one image more does not cost its neighbours again.

Finding such rows belongs here; cutting work into shards, and finding whole shards again, to `shards.py`. What a row
depends on stands in its columns, or in the stamp of its shard.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from warehouse.home import digest
from warehouse.places import Place
from warehouse.schema import TABLES
from warehouse.shards import Item, Quarantined, Rows, ShardWork
from warehouse.store import Store, shard_inputs


def stamped(work: Sequence[ShardWork[Item]], made_by: object) -> list[ShardWork[Item]]:
    """The same work with a stamp on each shard: the digest of what no column of its rows tells, as the code's version.

    Rows are taken over from shards of an equal stamp alone (`earlier_shards`).
    """
    return [replace(unit, inputs=f"{digest(made_by)}-{unit.inputs}") for unit in work]


@dataclass(frozen=True)
class EarlierShards:
    """Finished shards of a table, each with its first and its last content (SHA-256, the column `content`)."""

    table: str
    content: str
    files: tuple[tuple[Path, str, str], ...] = ()

    def rows(self, contents: Collection[str], made_with: Mapping[str, Collection[str]]) -> pl.DataFrame:
        """Rows of these contents in which each column of `made_with` has one of its values; each row once."""
        empty = pl.from_arrow(TABLES[self.table].arrow.empty_table())
        assert isinstance(empty, pl.DataFrame)
        if not contents:
            return empty
        first, last = min(contents), max(contents)
        wanted = pl.col(self.content).is_in(list(contents))
        for column, values in made_with.items():
            wanted &= pl.col(column).is_in(list(values))
        found = [
            pl.read_parquet(path).filter(wanted)
            for path, lowest, highest in self.files
            if lowest <= last and first <= highest
        ]
        once = [*TABLES[self.table].key, *made_with]
        return pl.concat([empty, *found]).unique(list(dict.fromkeys(once)), keep="first", maintain_order=True)


def with_known(
    earlier: EarlierShards,
    places: tuple[Place, ...],
    make: Callable[[tuple[Place, ...]], tuple[Rows, list[Quarantined]]],
    worth: pl.Expr = pl.lit(value=True),  # noqa: B008 (a constant)
) -> tuple[Rows, list[Quarantined]]:
    """Rows of places, those of earlier shards that are `worth` keeping; of the other places what `make` makes."""
    known = earlier.rows({place.sha256 for place in places}, {}).filter(worth)
    made = set(known[earlier.content])
    rows, refused = make(tuple(place for place in places if place.sha256 not in made))
    return [*known.to_dicts(), *rows], refused


def earlier_shards(
    store: Store, table: str, partition: str, content: str, made_by: object, anew: bool = False
) -> EarlierShards:
    """What this and earlier runs finished of a partition under this stamp, whether a manifest names it or not.

    Nothing where all is to be made `anew`.
    """
    stamp = f"{digest(made_by)}-"
    files = []
    for path in () if anew else store.finished(table, partition):
        metadata = pq.read_metadata(path)
        if metadata.num_rows and shard_inputs(metadata).startswith(stamp):
            files.append((path, *_range(metadata, content)))
    return EarlierShards(table, content, tuple(files))


def _range(metadata: pq.FileMetaData, content: str) -> tuple[str, str]:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(n) for group in groups for n in range(group.num_columns)]
    found = [column.statistics for column in columns if column.path_in_schema == content]
    return min(each.min for each in found), max(each.max for each in found)
