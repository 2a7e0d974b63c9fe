"""What sections of the report are made of: questions to the catalogue, and their answers as tables and plots.

Asking and shaping belong here; which questions are asked belongs to the modules of the sections, and axes with two
dimensions to `report_charts.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from warehouse import report_plots as plots
from warehouse.catalogue import ask
from warehouse.report_plots import Cell, Dot, Scale, cell

HEADLINE = "format_matched"
COMPANIONS = {
    "complexity": "how busy an image is",
    "format_rule": "file type, size and JPEG quality",
    "jpeg_history": "traces of earlier JPEG compression",
}
"""Detectors that look at nothing a generator leaves, and at what: what they reach, a set gives away by itself."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table as shown: headings, rows of cells, and its SQL; `apart` are rows of companions, sorted by themselves."""

    headings: tuple[str, ...]
    rows: list[list[Cell]]
    sql: str
    apart: list[list[Cell]] = field(default_factory=list)

    @cached_property
    def numeric(self) -> list[bool]:
        """For each column, whether it holds numbers, as far as it holds anything."""
        return [any(cells[i].numeric for cells in [*self.rows, *self.apart]) for i in range(len(self.headings))]


@dataclass(frozen=True)
class Plot:
    """A dot plot as shown: axis, rows, and its SQL. `shown` says whether it is unfolded."""

    title: str
    scale: Scale
    dots: list[Dot]
    sql: str
    shown: bool = True


@dataclass(frozen=True)
class Reader:
    """Asks the catalogue."""

    catalogue: duckdb.DuckDBPyConnection

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The answer, a mapping for each row."""
        answer = ask(self.catalogue, sql)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def table(
        self,
        sql: str,
        columns: Mapping[str, Callable[[Row], Cell]],
        apart: Callable[[Row], bool] = lambda row: False,
    ) -> Table:
        """The answer as a table: heading to what makes its cell from a row; `apart` says which rows stand apart."""
        groups: tuple[list[list[Cell]], list[list[Cell]]] = ([], [])
        for row in self.rows(sql):
            groups[apart(row)].append([make(row) for make in columns.values()])
        return Table(tuple(columns), groups[0], sql, groups[1])


def plain(name: str) -> Callable[[Row], Cell]:
    """A column as it stands."""
    return lambda row: cell(row[name])


def share(name: str) -> Callable[[Row], Cell]:
    """A column in percent."""
    return lambda row: cell(row[name], plots.percent(row[name]))


def interval(value: str, low: str, high: str) -> Callable[[Row], Cell]:
    """Three columns as a value with its interval."""
    return lambda row: cell(row[value], plots.interval(row[value], row[low], row[high]))


def literal(text: str) -> str:
    """Text as SQL writes it, also shown on the page: a character that hides or turns text is named by its number."""
    quoted = "".join(c if c.isprintable() else f"' || chr({ord(c)}) || '" for c in text.replace("'", "''"))
    return f"'{quoted}'" if text.isprintable() else f"('{quoted}')"
