"""What sections of the report are made of: questions to the catalogue, and their answers as tables and plots.

Asking and shaping belong here; which questions are asked belongs to `report_corpus.py` and `report_benchmark.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from warehouse import report_plots as plots
from warehouse.catalogue import ask
from warehouse.report_plots import Cell, Dot, Scale, cell

HEADLINE = "format_matched"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table as shown: headings, rows of cells, and its SQL."""

    headings: tuple[str, ...]
    rows: list[list[Cell]]
    sql: str

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it holds numbers, as far as it holds anything."""
        return [any(cells[i].numeric for cells in self.rows) for i in range(len(self.headings))]


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

    def table(self, sql: str, columns: Mapping[str, Callable[[Row], Cell]]) -> Table:
        """The answer as a table: heading to what makes its cell from a row."""
        rows = [[make(row) for make in columns.values()] for row in self.rows(sql)]
        return Table(tuple(columns), rows, sql)


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
    """Text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
