"""The section of the report on who answers: every decision, and what stood for and against it.

Times are left out, so that a report that is made again is the same; the table `promotions` has them.
"""

from typing import Any

from warehouse.report_plots import Cell, cell
from warehouse.report_tables import Reader, Row, plain

_WORDS = {
    "promoted": "promoted",
    "refused": "refused",
    "promoted_by_hand": "promoted by a person",
    "rolled_back": "brought back by a person",
}


def decisions(reader: Reader) -> dict[str, Any]:
    """All decisions, the newest first, and who answers after them (None: nobody yet)."""
    sql = "FROM promotions\nORDER BY number DESC, passed, gate, subject\nLIMIT 100"
    table = reader.table(
        sql,
        {
            "no.": plain("number"),
            "detector": plain("challenger"),
            "was": _decision,
            "in place of": plain("champion_before"),
            "asked": lambda row: cell(row["gate"], row["gate"].replace("_", " ")),
            "on": plain("subject"),
            "measured": plain("value"),
            "champion": plain("champion_value"),
            "bound": plain("bound"),
            "passed": plain("passed"),
        },
    )
    (last,) = reader.rows("SELECT max_by(champion, number) AS champion FROM decisions")
    return {"table": table, "champion": last["champion"]}


def _decision(row: Row) -> Cell:
    return cell(row["decision"], _WORDS[row["decision"]])
