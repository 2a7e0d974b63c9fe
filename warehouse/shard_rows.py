"""Rows as a shard holds them: the table's columns and types, sorted by its key, each key once.

Bringing rows into this form, and cutting them into row groups while they come, belong here; files and manifests to
`store.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.schema import Table


def row_groups(table: Table, parts: Iterable[pl.DataFrame | pa.Table]) -> Iterator[pa.Table]:
    """The rows of all parts, sorted, cut at the sizes of row groups; one group without rows where there are none.

    No more than one part and one group are in memory, beside what the parts keep. Raises ValueError where columns,
    types or keys are not those of the schema, and where a part is not behind the one before it.
    """
    waiting: list[pa.Table] = []
    rows, last, any_group = 0, None, False
    for part in parts:
        arrow = _conform(table, part)
        if not arrow.num_rows:
            continue
        if last is not None and _key(table, arrow, 0) <= last:
            raise ValueError(f"table {table.name}: a part of its rows is not behind the one before")
        last = _key(table, arrow, arrow.num_rows - 1)
        waiting.append(arrow)
        rows += arrow.num_rows
        if rows >= table.row_group_rows:
            joined = pa.concat_tables(waiting).combine_chunks()
            whole = rows - rows % table.row_group_rows
            for start in range(0, whole, table.row_group_rows):
                yield joined.slice(start, table.row_group_rows)
            waiting, rows, any_group = [joined.slice(whole)], rows - whole, True
    if rows or not any_group:
        yield pa.concat_tables([table.arrow.empty_table(), *waiting]).combine_chunks()


def _key(table: Table, rows: pa.Table, number: int) -> tuple[Any, ...]:
    return tuple(rows.column(name)[number].as_py() for name in table.key)


def _conform(table: Table, rows: pl.DataFrame | pa.Table) -> pa.Table:
    arrow = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
    if set(arrow.column_names) != set(table.column_names):
        difference = sorted(set(arrow.column_names) ^ set(table.column_names))
        raise ValueError(f"table {table.name}: columns differ from the schema: {', '.join(difference)}")
    arrow = arrow.select(table.column_names).cast(table.arrow)
    if not _is_sorted(arrow, table.key):
        arrow = arrow.sort_by([(name, "ascending") for name in table.key])
        distinct = arrow.select(list(table.key)).group_by(list(table.key)).aggregate([]).num_rows
        if distinct != arrow.num_rows:
            repeated = arrow.num_rows - distinct
            raise ValueError(f"table {table.name}: {repeated} rows repeat a key ({', '.join(table.key)})")
    return arrow


def _is_sorted(rows: pa.Table, key: Sequence[str]) -> bool:
    """Whether each row is behind the one before: then none repeats a key, and sorting a large table is spared.

    Only told of a key of one column; of others it is not.
    """
    if rows.num_rows < 2:
        return True
    if len(key) > 1:
        return False
    column = rows.column(key[0])
    return bool(pc.all(pc.less(column[:-1], column[1:]), skip_nulls=False).as_py())
