"""Sections of the report that set one thing against another: the champion against each detector, now against before.

What is asked of the views `comparisons` and `changes` belongs here; metrics as they stand, to `report_benchmark.py`.
"""

from typing import Any

from warehouse import report_plots as plots
from warehouse.report_plots import Dot, Scale, cell
from warehouse.report_tables import HEADLINE, Plot, Reader, Row, Table, literal, plain

_CHANGES = 300


def comparisons(reader: Reader, champion: str | None) -> list[dict[str, Any]]:
    """The champion against every other detector on the headline track, over the whole set and by generator."""
    sql = f"FROM comparisons\nWHERE track = '{HEADLINE}' AND detector = {literal(champion or '')}"
    found = []
    for row in reader.rows(f"SELECT DISTINCT dataset FROM ({sql}) ORDER BY dataset"):
        own = f"{sql}\n    AND dataset = {literal(row['dataset'])}"
        overall = f"{own} AND generator = 'all'\nORDER BY difference DESC, other"
        rows = reader.rows(overall)
        ends = [abs(end) for r in rows for end in (r["difference_low"], r["difference_high"]) if end is not None]
        scale = _difference_scale(max(ends, default=0.0))
        found.append(
            {
                "dataset": row["dataset"],
                "plot": Plot("", scale, [_dot(scale, r) for r in rows], overall),
                "table": _table(reader, f"{own} LIMIT 1000"),
            }
        )
    return found


def changes(reader: Reader) -> dict[str, Any]:
    """AUROC of unperturbed images against the last catalogue's: over whole sets, and by generator."""
    (counted,) = reader.rows(
        "SELECT (SELECT count(*) FROM benchmark_metrics_before) AS earlier, (SELECT count(*) FROM changes) AS changed"
    )
    return {
        "whole": _changed(reader, "generator = 'all'"),
        "by_generator": _changed(reader, "generator <> 'all'"),
        "earlier": counted["earlier"],
        "changed": counted["changed"],
    }


def _changed(reader: Reader, which: str) -> Table:
    return reader.table(
        f"FROM changes\nWHERE perturbation = 'none' AND {which}\nLIMIT {_CHANGES}",
        {
            "detector": plain("detector"),
            "set": plain("dataset"),
            "track": plain("track"),
            "generator": plain("generator"),
            "before": plain("auroc_before"),
            "now": plain("auroc_now"),
            "difference": lambda row: cell(row["difference"], plots.signed(row["difference"])),
            "there": plain("there"),
        },
    )


def _table(reader: Reader, sql: str) -> Table:
    return reader.table(
        sql,
        {
            "generator": plain("generator"),
            "compared with": plain("other"),
            "difference in AUROC": lambda row: cell(row["difference"], _interval(row)),
            "p (DeLong)": lambda row: cell(row["p_value"], plots.p_value(row["p_value"])),
            "verdict": plain("verdict"),
            "photographs": plain("n_real"),
            "generated": plain("n_fake"),
        },
    )


def _dot(scale: Scale, row: Row) -> Dot:
    return Dot.of(
        scale,
        row,
        ("difference", "difference_low", "difference_high"),
        label=row["other"],
        note=f"{row['verdict']}, p {plots.p_value(row['p_value'], relation=True)}",
        text=_interval(row),
        strong=row["verdict"] != "undecided",
    )


def _interval(row: Row) -> str:
    return plots.signed_interval(row["difference"], row["difference_low"], row["difference_high"])


def _difference_scale(largest: float) -> Scale:
    end = next((nice for nice in (0.05, 0.1, 0.2, 0.5) if nice >= largest), 1.0)
    ticks = (-end, -end / 2, 0.0, end / 2, end)
    return Scale.of(ticks, [plots.signed(tick, 2 if end != 0.05 else 3) if tick else "0" for tick in ticks], marked=0.0)
