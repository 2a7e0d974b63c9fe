"""Section of the report on robustness: what compression, resizing, blur and noise take off each detector.

What is asked of the view `robustness` belongs here; which perturbations there are belongs to `models/perturbations.py`.
"""

import math
import re
from typing import Any

from warehouse import report_plots as plots
from warehouse.report_charts import Axis, Chart, Palette, level_axis, linear_axis
from warehouse.report_plots import cell
from warehouse.report_tables import HEADLINE, Reader, Row, Table, interval, literal, plain, share

_AMOUNT = re.compile(r"(jpeg|resize|blur|noise)_([0-9.]+)")
# Kind: title, axis, the level that is no perturbation, and whether levels fall to the right.
_PANELS = {
    "jpeg": ("JPEG", "JPEG quality", math.inf, True),
    "resize": ("Resizing", "factor on both sides (Lanczos)", 1.0, False),
    "blur": ("Blur", "standard deviation of the Gaussian, px", 0.0, False),
    "noise": ("Noise", "standard deviation, grey levels of 255", 0.0, False),
}


def robustness(reader: Reader, champion: str | None, palette: Palette) -> list[dict[str, Any]]:
    """Curves by kind of perturbation, and tables of all, on the headline track, by data set."""
    sql = f"FROM robustness\nWHERE track = '{HEADLINE}'"
    found = []
    for run in plots.runs(reader.rows(sql), "dataset"):
        dataset = run[0]["dataset"]
        own = f"{sql} AND dataset = {literal(dataset)}"
        if all(row["perturbation"] == "none" for row in run):
            continue
        values = {(row["detector"], row["perturbation"]): row for row in run}
        y = _auroc_axis(run, champion)
        drawn = (_chart(kind, values, dataset, champion, palette, y) for kind in _PANELS)
        charts = [chart for chart in drawn if chart is not None]
        notes = {row["detector"]: "" for row in run if _value(row) is not None}
        found.append(
            {
                "dataset": dataset,
                "charts": charts,
                "legend": palette.legend(notes),
                "families": sorted({row["detector"] for row in run if row["auroc"] is None and _value(row)}),
                "sql": own,
                "champion": _champion_table(reader, own, champion),
                "all": _matrix(run, palette, own),
            }
        )
    return found


def _auroc_axis(rows: list[Row], champion: str | None) -> Axis:
    """One axis for all charts of a data set, so that they can be compared."""
    values = [value for row in rows if (value := _value(row)) is not None]
    ends = [row[name] for row in rows if row["detector"] == champion for name in ("auroc_low", "auroc_high")]
    values += [end for end in ends if end is not None]
    return linear_axis("AUROC", math.floor(10 * min([*values, 0.5])) / 10, math.ceil(10 * max([*values, 0.6])) / 10)


def _chart(
    kind: str,
    values: dict[tuple[str, str], Row],
    dataset: str,
    champion: str | None,
    palette: Palette,
    y: Axis,
) -> Chart | None:
    """AUROC by level, one line a detector; None where the kind was not tried."""
    title, axis, untouched, falling = _PANELS[kind]
    levels = {untouched: "none"}
    for _, name in values:
        if (matched := _AMOUNT.fullmatch(name)) and matched[1] == kind:
            levels[float(matched[2])] = name
    if len(levels) == 1:
        return None
    order = [levels[level] for level in sorted(levels, reverse=falling)]
    drawn: dict[str, list[tuple[float, float]]] = {}
    for detector in palette.styles:
        cells = [(float(n), values.get((detector, name))) for n, name in enumerate(order)]
        drawn[detector] = [(n, value) for n, row in cells if row and (value := _value(row)) is not None]
    ends = [
        (float(n), row["auroc_low"], row["auroc_high"])
        for n, name in enumerate(order)
        if (row := values.get((champion or "", name))) and row["auroc_low"] is not None
    ]
    texts = ["none" if name == "none" else name.rpartition("_")[2] for name in order]
    about = f"AUROC by {axis} on {plots.visible(dataset)}"
    chart = Chart(title, about, level_axis(axis, texts), y, [], 280)
    chart.line("guide", [(chart.x.low, 0.5), (chart.x.high, 0.5)])
    if len(ends) > 1:
        chart.band(palette.styles[champion or ""], [(n, a) for n, a, _ in ends], [(n, b) for n, _, b in ends])
    for detector in reversed(list(palette.styles)):
        if drawn[detector]:
            chart.line(palette.styles[detector], drawn[detector], detector)
            chart.dots(palette.styles[detector], drawn[detector])
    return chart


def _champion_table(reader: Reader, sql: str, champion: str | None) -> Table:
    return reader.table(
        f"{sql} AND detector = {literal(champion or '')}",
        {
            "perturbation": plain("perturbation"),
            "AUROC": interval("auroc", "auroc_low", "auroc_high"),
            "mean over generators": plain("auroc_mean"),
            "loss of AUROC": lambda row: cell(row["loss"], plots.score(row["loss"])),
            "TPR at 5% FPR": share("tpr_at_5_fpr"),
            "right on photographs": share("accuracy_real"),
            "right on generated": share("accuracy_fake"),
            "photographs": plain("n_real"),
            "generated": plain("n_fake"),
            "left out": plain("left_out"),
        },
    )


def _matrix(rows: list[Row], palette: Palette, sql: str) -> Table:
    """AUROC of every detector (columns) under every perturbation (rows), in the order of the kinds."""
    values = {(row["detector"], row["perturbation"]): _value(row) for row in rows}
    shown = {row["detector"] for row in rows}
    detectors = [name for name in palette.styles if name in shown]
    cells = [
        [cell(name), *(cell(values.get((detector, name))) for detector in detectors)]
        for name in sorted({row["perturbation"] for row in rows}, key=_order)
    ]
    return Table(("perturbation", *map(plots.visible, detectors)), cells, sql)


def _order(name: str) -> tuple[bool, bool, str, float]:
    kind, _, amount = name.partition("_")
    matched = _AMOUNT.fullmatch(name)
    strength = float(amount) * (-1 if kind == "jpeg" else 1) if matched else 0.0
    return (name != "none", matched is None, kind, strength)


def _value(row: Row) -> float | None:
    """AUROC over the whole set; of a family of several members, its mean over generators."""
    value: float | None = row["auroc_mean"] if row["auroc"] is None else row["auroc"]
    return value
