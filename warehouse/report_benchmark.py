"""Sections of the report on how well detectors do: headline, leaderboard, AUROC by generator.

What is asked of the views `leaderboard` and `per_generator` belongs here; single scores are in `report_scores.py`,
perturbed images in `report_robustness.py`, promises and exclusions in `report_reliability.py`.
"""

from collections.abc import Callable
from typing import Any

from warehouse import report_plots as plots
from warehouse.report_charts import Palette
from warehouse.report_plots import Cell, Dot, cell
from warehouse.report_tables import COMPANIONS, HEADLINE, Plot, Reader, Row, interval, literal, plain

_AUROC = ("auroc", "auroc_low", "auroc_high")
_EQUAL = ("auroc_equal_complexity", "auroc_equal_complexity_low", "auroc_equal_complexity_high")


def best_detector(reader: Reader) -> str | None:
    """The detector with the best AUROC on the headline track; None where none has been measured."""
    found = reader.rows(
        "SELECT detector FROM leaderboard\n"
        f"ORDER BY track <> '{HEADLINE}', coalesce(auroc, auroc_mean) DESC NULLS LAST, detector LIMIT 1"
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
    best_sql = (
        f"SELECT dataset, detector, coalesce(auroc, auroc_mean) AS auroc FROM leaderboard WHERE track = '{HEADLINE}'"
    )
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


def leaderboard(reader: Reader, champion: str | None, palette: Palette) -> dict[str, Any]:
    """Tables by data set and track, and AUROC by generator for each detector."""
    boards = []
    for row in reader.rows(
        "SELECT dataset, track, sum(seen + members) > count(*) AS trained FROM leaderboard GROUP BY ALL"
    ):
        dataset, track = row["dataset"], row["track"]
        sql = f"FROM leaderboard\nWHERE dataset = {literal(dataset)} AND track = {literal(track)}"
        table = reader.table(sql, _columns(champion, row["trained"]), lambda row: row["detector"] in COMPANIONS)
        board = {
            "dataset": dataset,
            "track": track,
            "table": table,
            "plots": [],
            "given_away": _given_away(reader, sql),
        }
        if track != "as_shipped":
            board |= {
                "overview": _overview(reader, dataset, track, palette),
                "plots": _generator_plots(reader, champion, dataset, track),
            }
        boards.append(board)
    boards.sort(key=lambda board: (board["dataset"], board["track"] != HEADLINE, board["track"]))
    return {"boards": boards, "champion": champion, "companions": COMPANIONS}


def _given_away(reader: Reader, sql: str) -> str | None:
    """The companion that tells most, in words; None where there is none."""
    names = ", ".join(map(literal, COMPANIONS))
    rows = reader.rows(
        f"{sql} AND detector IN ({names}) AND auroc IS NOT NULL\nORDER BY abs(auroc - .5) DESC, detector LIMIT 1"
    )
    if not rows:
        return None
    best = rows[0]
    said = plots.interval(*(best[name] for name in _AUROC))
    return f"{best['detector']}, which sees nothing but {COMPANIONS[best['detector']]}, reaches {said}"


def _result(row: Row, best: Row | None) -> dict[str, Any]:
    value, low, high = (row[name] for name in _AUROC)
    family = row["members"] > 1
    if family:
        value = row["auroc_mean"]
    return {
        "dataset": row["dataset"],
        "track": row["track"],
        "what": "Mean AUROC over generators" if family else "AUROC",
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
            ("AUROC at equal complexity", plots.interval(*(row[name] for name in _EQUAL))),
            ("mean AUROC over generators", plots.score(row["auroc_mean"])),
            (
                f"AUROC of the worst generator{', ' + row['worst_generator'] if row['worst_generator'] else ''}",
                plots.score(row["auroc_worst"]),
            ),
        ],
    }


def _columns(champion: str | None, trained: bool) -> dict[str, Callable[[Row], Cell]]:
    """The columns of a board; `trained` says whether any detector on it was trained on generated images."""

    def name(row: Row) -> Cell:
        shown = plots.visible(row["detector"])
        return cell(row["detector"], f"◆ {shown}" if row["detector"] == champion else shown)

    def seen(row: Row) -> Cell:
        return cell(row["seen"], "others in turn" if row["members"] > 1 and not row["seen"] else None)

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
        "at equal complexity": interval(*_EQUAL),
        "mean ± sd": mean,
        "worst generator": worst,
        "average precision": plain("average_precision"),
        "TPR at 5% FPR": plain("tpr_at_5_fpr"),
        "right on photographs": plain("accuracy_real"),
        "right on generated": plain("accuracy_fake"),
        "images": judged,
        "left out": plain("left_out"),
        **({"trained on": seen} if trained else {}),
    }


def _overview(reader: Reader, dataset: str, track: str, palette: Palette) -> Plot:
    """AUROC over all generators, by detector; of a family of several members the mean over generators."""
    sql = _beside_as_shipped("leaderboard", "detector", dataset, track, "shown.members, shown.auroc_mean, ")
    sql += "ORDER BY coalesce(shown.auroc, shown.auroc_mean) DESC NULLS LAST, detector"
    dots = []
    for row in reader.rows(sql):
        note = ("mean over generators",) if row["members"] > 1 else ()
        shown = row | ({"auroc": row["auroc_mean"]} if row["members"] > 1 else {})
        dots.append(_auroc(shown, "detector", note, palette.styles[row["detector"]]))
    return Plot("", plots.UNIT, dots, sql)


def _generator_plots(reader: Reader, champion: str | None, dataset: str, track: str) -> list[Plot]:
    """AUROC by generator, a plot for each detector, the champion's first and unfolded."""
    where = f"WHERE dataset = {literal(dataset)} AND track = {literal(track)}"
    detectors = [row["detector"] for row in reader.rows(f"SELECT detector FROM leaderboard {where}")]
    found = []
    for detector in sorted(detectors, key=lambda name: name != champion):
        sql = _beside_as_shipped("per_generator", "detector, generator", dataset, track, "shown.seen, ")
        sql += f"    AND detector = {literal(detector)}\nORDER BY shown.auroc DESC NULLS LAST, generator"
        dots = [
            _auroc(row, "generator", ("trained on it",) if row["seen"] else (), strong=not row["seen"])
            for row in reader.rows(sql)
        ]
        found.append(Plot(detector, plots.UNIT, dots, sql, shown=detector == champion))
    return found


def _auroc(row: Row, label: str, notes: tuple[str, ...], style: str = "", strong: bool = True) -> Dot:
    return Dot.of(
        plots.UNIT,
        row,
        _AUROC,
        label=row[label],
        note=", ".join((f"{plots.count(row['n_fake'])} generated images", *notes)),
        text=plots.interval(*(row[name] for name in _AUROC)),
        other=row["auroc_as_shipped"],
        strong=strong,
        style=style,
    )


def _beside_as_shipped(view: str, keys: str, dataset: str, track: str, more: str) -> str:
    """`more` are further columns of the view, each followed by a comma."""
    shipped = "coalesce(shipped.auroc, shipped.auroc_mean)" if view == "leaderboard" else "shipped.auroc"
    return (
        f"SELECT {keys}, {more}shown.n_fake, shown.auroc, shown.auroc_low, shown.auroc_high,\n"
        f"    {shipped} AS auroc_as_shipped\nFROM {view} AS shown\nLEFT JOIN (\n"
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
