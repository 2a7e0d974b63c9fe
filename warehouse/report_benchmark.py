"""Sections of the report on the benchmark: headline, leaderboard, calibration, what was left out.

What is asked and said about detectors belongs here; what is said about data and backbone, to `report_corpus.py`.
"""

from collections.abc import Callable
from typing import Any

from warehouse import report_plots as plots
from warehouse.report_plots import Cell, Dot, cell
from warehouse.report_tables import HEADLINE, Plot, Reader, Row, Table, interval, literal, plain, share

_AUROC = ("auroc", "auroc_low", "auroc_high")


def best_detector(reader: Reader) -> str | None:
    """The detector with the best AUROC on the headline track; None where none has been measured."""
    found = reader.rows(
        "SELECT detector FROM leaderboard ORDER BY track <> 'format_matched', auroc DESC NULLS LAST LIMIT 1"
    )
    return found[0]["detector"] if found else None


def headline(reader: Reader, champion: str | None) -> dict[str, Any]:
    """The champion on each data set, in words; and whether anything but rendered pictures was seen."""
    sql = (
        f"SELECT * FROM leaderboard\nWHERE detector = {literal(champion or '')}\n"
        "QUALIFY row_number() OVER (\n    PARTITION BY dataset "
        f"ORDER BY track <> '{HEADLINE}', track <> 'in_the_wild', track\n) = 1\nORDER BY dataset"
    )
    simulated = (
        "SELECT\n    (SELECT count(*) FROM exif) AS photographs,\n"
        "    (SELECT count(*) FROM exif WHERE simulated) AS rendered,\n"
        "    (SELECT count(*) FROM benchmark_images) AS images,\n"
        "    (SELECT count(*) FROM benchmark_images WHERE simulated) AS rendered_images"
    )
    (seen,) = reader.rows(simulated)
    results = reader.rows(sql)
    best_sql = f"SELECT dataset, detector, auroc FROM leaderboard WHERE track = '{HEADLINE}'"
    best: dict[str, Row] = {}
    for row in reader.rows(best_sql):
        best.setdefault(row["dataset"], row)
    return {
        "champion": champion,
        "track": HEADLINE,
        "results": [_result(row, best.get(row["dataset"]) if row["track"] == HEADLINE else None) for row in results],
        "sql": sql,
        "photographs": seen["photographs"],
        "simulated_photographs": 0 < seen["photographs"] == seen["rendered"],
        "simulated_images": 0 < seen["images"] == seen["rendered_images"],
    }


def leaderboard(reader: Reader, champion: str | None) -> dict[str, Any]:
    """Tables by data set and track, and AUROC by generator for each detector."""
    boards = []
    for row in reader.rows("SELECT DISTINCT dataset, track FROM leaderboard"):
        dataset, track = row["dataset"], row["track"]
        sql = f"FROM leaderboard\nWHERE dataset = {literal(dataset)} AND track = {literal(track)}"
        board = {**row, "table": reader.table(sql, _columns(champion)), "plots": []}
        if track != "as_shipped":
            board |= {
                "overview": _overview(reader, dataset, track),
                "plots": _generator_plots(reader, champion, dataset, track),
            }
        boards.append(board)
    boards.sort(key=lambda board: (board["dataset"], board["track"] != HEADLINE, board["track"]))
    return {"boards": boards, "champion": champion}


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
        "FROM calibration LIMIT 2000",
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


def left_out(reader: Reader) -> Table:
    """What could not be judged."""
    names = ("dataset", "track", "detector", "reason", "photographs", "generated", "judged")
    return reader.table("FROM left_out LIMIT 1000", {name: plain(name) for name in names})


def _result(row: Row, best: Row | None) -> dict[str, Any]:
    value, low, high = (row[name] for name in _AUROC)
    return {
        "dataset": row["dataset"],
        "track": row["track"],
        "auroc": plots.score(value),
        "ends": None if low is None or high is None else f"[{plots.score(low, 2)}, {plots.score(high, 2)}]",
        "sentence": _sentence(value, low, high),
        "better": best["detector"] if best and best["detector"] != row["detector"] else None,
        "better_auroc": plots.score(best["auroc"]) if best else None,
        "figures": [
            ("photographs", plots.count(row["n_real"])),
            ("generated images", plots.count(row["n_fake"])),
            ("generated images found when 5% of photographs are flagged", plots.percent(row["tpr_at_5_fpr"])),
            ("photographs passed at the frozen threshold", plots.percent(row["accuracy_real"])),
            ("generated images flagged at the frozen threshold", plots.percent(row["accuracy_fake"])),
            ("mean AUROC over generators", plots.score(row["auroc_mean"])),
            (
                f"AUROC of the worst generator{', ' + row['worst_generator'] if row['worst_generator'] else ''}",
                plots.score(row["auroc_worst"]),
            ),
        ],
    }


def _columns(champion: str | None) -> dict[str, Callable[[Row], Cell]]:
    def name(row: Row) -> Cell:
        return cell(row["detector"], f"◆ {row['detector']}" if row["detector"] == champion else None)

    def mean(row: Row) -> Cell:
        spread = "" if row["auroc_deviation"] is None else f" ± {plots.score(row['auroc_deviation'])}"
        return cell(row["auroc_mean"], plots.score(row["auroc_mean"]) + spread)

    def worst(row: Row) -> Cell:
        return cell(row["auroc_worst"], f"{plots.score(row['auroc_worst'])} {row['worst_generator'] or ''}".strip())

    def judged(row: Row) -> Cell:
        return cell(row["n_real"], f"{plots.count(row['n_real'])} + {plots.count(row['n_fake'])}")

    return {
        "detector": name,
        "AUROC": interval(*_AUROC),
        "mean ± deviation": mean,
        "worst generator": worst,
        "average precision": plain("average_precision"),
        "TPR at 5% FPR": plain("tpr_at_5_fpr"),
        "right on photographs": plain("accuracy_real"),
        "right on generated": plain("accuracy_fake"),
        "photographs + generated": judged,
        "left out": plain("left_out"),
    }


def _overview(reader: Reader, dataset: str, track: str) -> Plot:
    """AUROC over all generators, by detector."""
    sql = (
        _beside_as_shipped("leaderboard", "detector", dataset, track) + "ORDER BY shown.auroc DESC NULLS LAST, detector"
    )
    return Plot("", plots.UNIT, [_auroc(row, "detector") for row in reader.rows(sql)], sql)


def _generator_plots(reader: Reader, champion: str | None, dataset: str, track: str) -> list[Plot]:
    """AUROC by generator, a plot for each detector, the champion's first and unfolded."""
    where = f"WHERE dataset = {literal(dataset)} AND track = {literal(track)}"
    detectors = [row["detector"] for row in reader.rows(f"SELECT detector FROM leaderboard {where}")]
    found = []
    for detector in sorted(detectors, key=lambda name: name != champion):
        sql = _beside_as_shipped("per_generator", "detector, generator", dataset, track)
        sql += f"    AND detector = {literal(detector)}\nORDER BY shown.auroc DESC NULLS LAST, generator"
        dots = [_auroc(row, "generator") for row in reader.rows(sql)]
        found.append(Plot(detector, plots.UNIT, dots, sql, shown=detector == champion))
    return found


def _auroc(row: Row, label: str) -> Dot:
    return Dot.of(
        plots.UNIT,
        row,
        _AUROC,
        label=row[label],
        note=f"{plots.count(row['n_fake'])} generated images",
        text=plots.interval(*(row[name] for name in _AUROC)),
        other=row["auroc_as_shipped"],
        strong=True,
    )


def _beside_as_shipped(view: str, keys: str, dataset: str, track: str) -> str:
    return (
        f"SELECT {keys}, shown.n_fake, shown.auroc, shown.auroc_low, shown.auroc_high,\n"
        f"    shipped.auroc AS auroc_as_shipped\nFROM {view} AS shown\nLEFT JOIN (\n"
        f"    FROM {view} WHERE track = 'as_shipped'\n) AS shipped USING (dataset, {keys})\n"
        f"WHERE dataset = {literal(dataset)} AND shown.track = {literal(track)}\n"
    )


def _sentence(value: float | None, low: float | None, high: float | None) -> str:
    """What an AUROC says, and whether it is more than guessing."""
    if value is None:
        return "No AUROC: photographs or generated images were missing."
    said = (
        f"Of a photograph and a generated image drawn at random, the generated one gets the higher score in "
        f"{plots.percent(value)} of cases"
    )
    if low is None or high is None:
        return f"{said}; there are too few images for an interval. Guessing gives 50%."
    said += f" (95% interval {100 * low:.0f}–{100 * high:.0f}%); guessing gives 50%."
    if high < 0.5:
        return f"{said} That is worse than guessing: here the detector takes generated images for photographs."
    if low <= 0.5:
        return f"{said} The interval holds 50%: on this set the detector cannot be told from guessing."
    return said
