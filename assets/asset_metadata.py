"""What an asset's page shows of its table: its columns, where they come from, and its first rows.

Numbers about a run belong to the stages, and when an asset is made to `stage.py`.
"""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from warehouse.schema import TABLES
from warehouse.store import Store


def column_schema(table: str) -> dg.TableSchema:
    """Name, type and meaning of each column."""
    return dg.TableSchema(
        columns=[dg.TableColumn(c.name, str(c.type), description=c.comment) for c in TABLES[table].columns]
    )


def column_lineage(table: str, upstream: Mapping[str, str]) -> dg.TableColumnLineage:
    """For each column where upstream it stands as well: keys and values keep their names from table to table.

    `upstream` gives the table of each upstream asset. Assets that share a table have no more in common than its form.
    """
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey(asset), column)
                for asset, other in upstream.items()
                if other != table and column in TABLES[other].column_names
            ]
            for column in TABLES[table].column_names
        }
    )


def preview(store: Store, table: str, partition: str) -> str:
    """Five rows as a Markdown table; long and binary values are cut."""
    columns = [c.name for c in TABLES[table].columns if c.name != "png"]
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for path in store.paths(table, [partition])[:1]:
        rows = pl.read_parquet(path, columns=columns, n_rows=5).iter_rows()
        lines += ["| " + " | ".join(_short(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _short(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"{len(value)} numbers"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 24 else text[:23] + "…"
