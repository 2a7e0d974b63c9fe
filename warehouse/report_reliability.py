"""Sections of the report on how far results can be relied on: calibration, makes, what was left out, near-duplicates.

What is asked and said about promises and exclusions belongs here; how well generated images are found, to
`report_benchmark.py`.
"""

from typing import Any

from warehouse import report_plots as plots
from warehouse.report_plots import Dot, cell
from warehouse.report_tables import HEADLINE, Plot, Reader, Table, literal, plain, share

_MAKES = 20


def calibration(reader: Reader, champion: str | None) -> dict[str, Any]:
    """The champion's realised rates, a panel for each nominal rate; and everybody's as a table."""
    sql = (
        f"FROM calibration\nWHERE detector = {literal(champion or '')} AND track = '{HEADLINE}'\n"
        "ORDER BY nominal_fpr, origin <> 'validation', origin, source"
    )
    panels = []
    for run in plots.runs(reader.rows(sql), "nominal_fpr"):
        nominal = run[0]["nominal_fpr"]
        scale = plots.rate_scale(nominal, max(row["realised_high"] or 0 for row in run))
        names = ("realised_fpr", "realised_low", "realised_high")
        dots = [
            Dot.of(
                scale,
                row,
                names,
                label=row["source"],
                note=f"{row['origin']}, {plots.count(row['photographs'])} photographs",
                text=plots.percent_interval(*(row[name] for name in names)),
                strong=bool(row["holds"]),
            )
            for row in run
        ]
        panels.append(Plot(plots.percent(nominal), scale, dots, sql))
    everybody = reader.table(
        "FROM calibration LIMIT 1000",
        {
            "track": plain("track"),
            "detector": plain("detector"),
            "origin": plain("origin"),
            "source": plain("source"),
            "nominal": share("nominal_fpr"),
            "realised": lambda row: cell(
                row["realised_fpr"],
                plots.percent_interval(row["realised_fpr"], row["realised_low"], row["realised_high"]),
            ),
            "flagged": plain("flagged"),
            "photographs": plain("photographs"),
            "within interval": plain("holds"),
        },
    )
    return {"panels": panels, "table": everybody, "champion": champion, "track": HEADLINE}


def makes(reader: Reader, champion: str | None) -> dict[str, Any]:
    """The champion's false positives on validation photographs by maker of the camera; everybody's as a table."""
    nominal = reader.rows(
        f"SELECT false_positive_rate FROM detectors WHERE detector = {literal(champion or '')} AND track = '{HEADLINE}'"
    )
    sql = (
        f"FROM false_positives_by_make\nWHERE detector = {literal(champion or '')} AND track = '{HEADLINE}'\n"
        f"    AND role = 'validation'\nORDER BY photographs DESC, make\nLIMIT {_MAKES}"
    )
    rows = reader.rows(sql)
    names = ("rate", "rate_low", "rate_high")
    rate = nominal[0]["false_positive_rate"] if nominal else None
    scale = plots.rate_scale(rate, max((row["rate_high"] for row in rows), default=0.0))
    dots = [
        Dot.of(
            scale,
            row,
            names,
            label=row["make"],
            note=f"{plots.count(row['flagged'])} of {plots.count(row['photographs'])} photographs",
            text=plots.percent_interval(*(row[name] for name in names)),
            strong=rate is None or row["rate_low"] <= rate <= row["rate_high"],
        )
        for row in rows
    ]
    everybody = reader.table(
        "FROM false_positives_by_make LIMIT 1000",
        {
            "track": plain("track"),
            "detector": plain("detector"),
            "fold": plain("role"),
            "make": plain("make"),
            "rate": lambda row: cell(row["rate"], plots.percent_interval(*(row[name] for name in names))),
            "flagged": plain("flagged"),
            "photographs": plain("photographs"),
        },
    )
    return {
        "plot": Plot("", scale, dots, sql),
        "nominal": None if rate is None else plots.percent(rate),
        "table": everybody,
        "champion": champion,
        "track": HEADLINE,
    }


def left_out(reader: Reader) -> Table:
    """What could not be judged; detectors that could not judge the same are one row."""
    names = ("dataset", "track", "reason", "photographs", "generated", "judged", "detectors", "names")
    return reader.table(
        "SELECT\n    dataset, track, reason, photographs, generated, judged,\n"
        "    count(*) AS detectors, string_agg(detector, ', ' ORDER BY detector) AS names\nFROM left_out\n"
        "GROUP BY dataset, track, reason, photographs, generated, judged\n"
        f"ORDER BY track <> '{HEADLINE}', track, dataset, reason, names\nLIMIT 1000",
        {name: plain(name) for name in names},
    )


def near_duplicates(reader: Reader) -> dict[str, Any]:
    """Benchmark images that look like something learned from, the closest pairs first."""
    sql = "FROM near_duplicates ORDER BY distance, dataset, uri, photo_uri"
    (counted,) = reader.rows("SELECT count(DISTINCT (dataset, image_id)) AS images FROM near_duplicates")
    table = reader.table(
        f"{sql} LIMIT 100",
        {
            "differing bits": plain("distance"),
            "set": plain("dataset"),
            "generator": plain("generator"),
            "image": plain("uri"),
            "learned from": plain("corpus"),
            "photograph": plain("photo_uri"),
        },
    )
    return {"images": counted["images"], "table": table}
