"""Sections of the report on single scores: ROC and DET curves, score against complexity, the extreme images.

What is asked of `benchmark_scores` and `benchmark_extremes` belongs here; metrics over them belong to
`report_benchmark.py`, axes and paths to `report_charts.py`.
"""

import base64
from collections.abc import Mapping
from typing import Any

from warehouse import report_plots as plots
from warehouse.report_charts import Axis, Chart, Palette, deviate_axis, linear_axis, log_axis
from warehouse.report_tables import HEADLINE, Reader, literal

_JPEG = b"\xff\xd8\xff"
_LARGEST_PICTURE = 40_000
_PICTURES = 8
_EXTREMES = (
    (1, "most", "Generated images with the lowest scores: most easily taken for photographs"),
    (0, "least", "Photographs with the highest scores: most easily taken for generated"),
    (0, "most", "Photographs with the lowest scores"),
    (1, "least", "Generated images with the highest scores"),
)
# At most so many rates a detector: bins of equal width in the sum of the log odds of both rates, so that the corners
# that DET curves spread out are kept as finely as the middle.
CURVES = """WITH shown AS (
    SELECT detector AS family, member AS detector, auroc
    FROM family_metrics
    WHERE dataset = {dataset} AND track = '{track}' AND perturbation = 'none' AND generator = 'all' AND members = 1
), counted AS (
    SELECT family, auroc, score, sum(label) AS generated, sum(1 - label) AS photographs
    FROM benchmark_scores
    JOIN shown USING (detector)
    ANTI JOIN (
        FROM benchmark_metrics WHERE dataset = {dataset} AND track = '{track}' AND perturbation = 'none' AND seen
    ) AS known USING (detector, generator)
    WHERE dataset = {dataset} AND track = '{track}' AND perturbation = 'none' AND score IS NOT NULL
    GROUP BY family, auroc, score
), rates AS (
    SELECT
        family AS detector, auroc, score,
        sum(photographs) OVER above / nullif(sum(photographs) OVER own, 0) AS fpr,
        sum(generated) OVER above / nullif(sum(generated) OVER own, 0) AS tpr
    FROM counted
    WINDOW above AS (PARTITION BY family ORDER BY score DESC), own AS (PARTITION BY family)
)
SELECT detector, auroc, fpr, tpr
FROM rates
WHERE fpr IS NOT NULL AND tpr IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY detector,
    round(7 * (ln((fpr + .001) / (1.001 - fpr)) + ln((tpr + .001) / (1.001 - tpr))))
    ORDER BY score DESC
) = 1
ORDER BY detector, score DESC"""
_SCATTER = """WITH busy AS (
    SELECT image_id, min(complexity) AS complexity
    FROM benchmark_features
    WHERE dataset = {dataset} AND track = '{track}' AND perturbation = 'none'
    GROUP BY image_id
)
SELECT label, complexity, score
FROM benchmark_scores
JOIN busy USING (image_id)
WHERE dataset = {dataset} AND track = '{track}' AND perturbation = 'none' AND detector = {detector}
    AND score IS NOT NULL AND complexity > 0
ORDER BY image_id
LIMIT 3000"""


def curves(reader: Reader, palette: Palette) -> list[dict[str, Any]]:
    """ROC and DET curves on the headline track, by data set; families of several members have no common score."""
    found = []
    for dataset in _datasets(reader):
        sql = CURVES.format(dataset=literal(dataset), track=HEADLINE)
        rows = reader.rows(sql)
        if not rows:
            continue
        roc = Chart(
            "ROC",
            f"ROC curves on {plots.visible(dataset)}",
            linear_axis("photographs flagged (false-positive rate)", 0, 1),
            linear_axis("generated images flagged (true-positive rate)", 0, 1),
            [],
            380,
        )
        det = Chart(
            "DET",
            f"DET curves on {plots.visible(dataset)}",
            deviate_axis("photographs flagged (false-positive rate)"),
            deviate_axis("generated images missed"),
            [],
            380,
        )
        roc.line("guide", [(0, 0), (1, 1)])
        det.line("guide", [(0.005, 0.995), (0.995, 0.005)])
        # The champion's lies on top.
        for run in reversed(_ordered(plots.runs(rows, "detector"), palette)):
            name = run[0]["detector"]
            points = [(0.0, 0.0), *((row["fpr"], row["tpr"]) for row in run), (1.0, 1.0)]
            roc.line(palette.styles[name], points, name)
            det.line(palette.styles[name], [(fpr, 1 - tpr) for fpr, tpr in points], name)
        notes = {row["detector"]: plots.score(row["auroc"]) for row in rows}
        found.append({"dataset": dataset, "charts": [roc, det], "legend": palette.legend(notes), "sql": sql})
    return found


def complexity(reader: Reader, champion: str | None) -> list[dict[str, Any]]:
    """The champion's score against how busy an image is, on the headline track, by data set."""
    found = []
    for dataset in _datasets(reader):
        sql = _SCATTER.format(dataset=literal(dataset), track=HEADLINE, detector=literal(champion or ""))
        rows = reader.rows(sql)
        if not rows:
            continue
        scores = sorted(row["score"] for row in rows)
        cut = len(scores) // 100
        busy = [row["complexity"] for row in rows]
        chart = Chart(
            "",
            f"Score against complexity on {plots.visible(dataset)}",
            log_axis("mean absolute residual, grey levels (logarithmic)", min(busy), max(busy)),
            linear_axis("score (higher = more likely generated)", scores[cut], scores[-1 - cut]),
            [],
            340,
        )
        for label, draw, style in ((0, chart.dots, "photograph"), (1, chart.crosses, "generated")):
            draw(style, ((row["complexity"], row["score"]) for row in rows if row["label"] == label))
        threshold = _threshold(reader, champion, chart.y)
        if threshold is not None:
            chart.line("guide", [(chart.x.low, threshold), (chart.x.high, threshold)])
        ranks = _rank_correlations(reader, sql)
        found.append({"dataset": dataset, "chart": chart, "threshold": threshold, "ranks": ranks, "sql": sql})
    return found


def extremes(reader: Reader) -> list[dict[str, Any]]:
    """The most and the least photographic images of each set, with small pictures."""
    sql = (
        "SELECT dataset, label, side, place, image_id, generator, detector, track, score, p_value, picture\n"
        f"FROM benchmark_extremes\nWHERE place <= {_PICTURES}\nORDER BY dataset, label, side, place"
    )
    found = []
    for run in plots.runs(reader.rows(sql), "dataset"):
        groups = []
        for label, side, title in _EXTREMES:
            shown = [_picture(row) for row in run if (row["label"], row["side"]) == (label, side)]
            if shown:
                groups.append({"title": title, "pictures": shown})
        about = {name: run[0][name] for name in ("dataset", "detector", "track")}
        # Pictures are no answer that a terminal shows.
        found.append({**about, "groups": groups, "sql": sql.replace(", picture\n", "\n")})
    return found


def _picture(row: Mapping[str, Any]) -> dict[str, Any]:
    picture = row["picture"] or b""
    sound = picture.startswith(_JPEG) and len(picture) <= _LARGEST_PICTURE
    return {
        # A table may hold whatever bytes; only what begins as JPEG is shown, and as nothing else.
        "source": f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if sound else None,
        "name": "photograph" if row["label"] == 0 else row["generator"],
        "score": plots.score(row["score"], 2),
        "p_value": plots.score(row["p_value"]),
        "image_id": row["image_id"][:12],
    }


def _rank_correlations(reader: Reader, sql: str) -> dict[int, str]:
    """Spearman's rank correlation of score and complexity within each class."""
    ranked = (
        f"WITH shown AS (\n{sql}\n), ranked AS (\n    SELECT label, rank() OVER (PARTITION BY label ORDER BY score) AS "
        "a,\n        rank() OVER (PARTITION BY label ORDER BY complexity) AS b\n    FROM shown\n)\n"
        "SELECT label, corr(a, b) AS correlation FROM ranked GROUP BY label HAVING count(*) > 2"
    )
    return {row["label"]: plots.score(row["correlation"], 2) for row in reader.rows(ranked)}


def _threshold(reader: Reader, champion: str | None, axis: Axis) -> float | None:
    """The champion's frozen threshold, where it lies on the axis."""
    rows = reader.rows(
        f"SELECT threshold FROM detectors WHERE detector = {literal(champion or '')} AND track = '{HEADLINE}'"
    )
    value = rows[0]["threshold"] if rows else None
    return value if value is not None and axis.low <= value <= axis.high else None


def _ordered(runs: list[Any], palette: Palette) -> list[Any]:
    order = list(palette.styles)
    return sorted(runs, key=lambda run: order.index(run[0]["detector"]))


def _datasets(reader: Reader) -> list[str]:
    rows = reader.rows(f"SELECT DISTINCT dataset FROM leaderboard WHERE track = '{HEADLINE}' ORDER BY dataset")
    return [row["dataset"] for row in rows]
