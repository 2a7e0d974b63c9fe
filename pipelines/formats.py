"""How rows are printed: an aligned table, CSV, or one JSON array. What is asked belongs to `warehouse/catalogue.py`."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> str:
    """Rows as text of a form: table, csv or json."""
    if form == "json":
        return (
            json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str, ensure_ascii=False) + "\n"
        )
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return out.getvalue()
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns aligned, numbers to the right; whole values, whatever their width."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    right = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        parts = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True))
        return "  ".join(parts).rstrip()

    lines = [line(columns), "  ".join("-" * width for width in widths), *map(line, cells)]
    return "\n".join([*lines, f"{len(rows)} row{'' if len(rows) == 1 else 's'}"]) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("\n", " ")
