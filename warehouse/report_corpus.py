"""Sections of the report on what was read, quarantined and learned, and on versions.

What is asked and said about data and backbone belongs here; what is measured on benchmarks, to `report_benchmark.py`.
"""

from typing import Any

from warehouse import report_plots as plots
from warehouse.report_plots import Dot, Line, cell
from warehouse.report_tables import HEADLINE, Plot, Reader, Table, literal, plain, share
from warehouse.schema import TAG_ACCURACY, TAG_LOSS


def read(reader: Reader) -> dict[str, Any]:
    """Corpora, EXIF coverage and issues."""
    corpora = reader.table(
        "FROM corpora",
        {
            "corpus": plain("corpus"),
            "files": plain("files"),
            "photographs": plain("photographs"),
            "quarantined": plain("quarantined"),
            "replaced or vanished": plain("former"),
            "stopped later": plain("stopped_later"),
            "groups": plain("groups"),
            "fitting, folds 0–2": plain("fitting"),
            "validation, fold 3": plain("validation"),
            "calibration, fold 4": plain("calibration"),
        },
    )
    sql = "FROM exif_coverage WHERE make = 'all makes'"
    coverage = [
        Dot.of(
            plots.SHARE,
            {**row, "none": None},
            ("share", "none", "none"),
            label=row["tag"],
            note="",
            text=f"{plots.percent(row['share'])} · {plots.count(row['having'])}",
        )
        for row in reader.rows(sql)
    ]
    issues = "SELECT reason, tag, count(*) AS photographs\nFROM exif_issues\nGROUP BY reason, tag\n"
    return {
        "corpora": corpora,
        "coverage": Plot("", plots.SHARE, coverage, sql),
        "by_make": _coverage_by_make(reader),
        "issues": reader.table(
            issues + "ORDER BY photographs DESC, reason, tag LIMIT 200",
            {"reason": plain("reason"), "tag": plain("tag"), "photographs": plain("photographs")},
        ),
    }


def quarantine(reader: Reader) -> dict[str, Any]:
    """Counts by stage and reason, and up to three samples of each."""
    samples = (
        "FROM quarantine\nQUALIFY row_number() OVER (PARTITION BY stage, source, reason ORDER BY uri) <= 3\n"
        "ORDER BY stage, source, reason, uri LIMIT 100"
    )
    names = ("stage", "source", "reason")
    return {
        "reasons": reader.table("FROM quarantine_reasons", {n: plain(n) for n in (*names, "files")}),
        "samples": reader.table(samples, {n: plain(n) for n in (*names, "uri", "detail")}),
    }


def learned(reader: Reader) -> dict[str, Any]:
    """Validation of each tag against its baseline, and the training curves."""
    sql = "FROM pretext WHERE role IS DISTINCT FROM 'untrained'"
    rows = reader.rows(sql)
    shown = []
    for kind in plots.runs(rows, "kind"):
        scale = plots.UNIT if kind[0]["kind"] == "ranked" else plots.PLAIN
        dots = [
            Dot.of(
                scale,
                row,
                ("value", "value_low", "value_high"),
                label=row["tag"],
                note=f"{plots.count(row['labelled'])} photographs, {plots.count(row['groups'])} groups",
                text=plots.interval(row["value"], row["value_low"], row["value_high"]),
                other=None if row["value"] is None else row["baseline"],
                strong=bool(row["learned"]),
            )
            for row in kind
        ]
        shown.append(Plot(kind[0]["kind"], scale, dots, f"{sql} AND kind = {literal(kind[0]['kind'])}"))
    curve = (
        "SELECT series, step, value FROM training_curve\n"
        "WHERE backbone NOT IN (SELECT backbone FROM backbones WHERE role = 'untrained')\n"
        "    AND value IS NOT NULL\nORDER BY backbone, series, step"
    )
    lines = [
        Line.of(run[0]["series"], [row["step"] for row in run], [row["value"] for row in run])
        for run in plots.runs(reader.rows(curve), "series")
    ]
    return {
        "plots": shown,
        "tags": len([row for row in rows if row["value"] is not None]),
        "above": len([row for row in rows if row["learned"]]),
        "lines": [line for line in lines if not line.title.startswith((TAG_LOSS, TAG_ACCURACY))],
        "tag_lines": {
            "Loss by tag": [line for line in lines if line.title.startswith(TAG_LOSS)],
            "Validation by tag": [line for line in lines if line.title.startswith(TAG_ACCURACY)],
        },
        "imported": reader.rows("SELECT backbone, preset FROM backbones WHERE origin = 'imported'"),
        "lines_sql": curve,
    }


def claims(reader: Reader) -> dict[str, Any]:
    """How well swapped EXIF is told by what judges claims, and by what else reads tags."""
    sql = (
        "SELECT judge.*, judge.auroc_low > 0.5 AS told, other.auroc AS other, other.read_by AS other_reader\n"
        "FROM exif_claims AS judge\n"
        "LEFT JOIN exif_claims AS other\n"
        "    ON other.tag = judge.tag AND other.swapped_with = judge.swapped_with AND NOT other.judges\n"
        "WHERE judge.judges AND judge.swapped_with = 'another_source' AND judge.auroc IS NOT NULL\n"
        "ORDER BY judge.tag <> 'all', judge.auroc DESC, judge.tag"
    )
    rows = reader.rows(sql)
    dots = [
        Dot.of(
            plots.UNIT,
            row,
            ("auroc", "auroc_low", "auroc_high"),
            label="all tags together" if row["tag"] == "all" else row["tag"],
            note=f"{plots.count(row['photographs'])} photographs, {plots.count(row['sources'])} sources",
            text=plots.interval(row["auroc"], row["auroc_low"], row["auroc_high"]),
            other=row["other"],
            strong=bool(row["told"]),
        )
        for row in rows
    ]
    return {
        "plot": Plot("", plots.UNIT, dots, sql),
        "read_by": rows[0]["read_by"] if rows else None,
        "other": rows[0]["other_reader"] if rows else None,
        "told": len([row for row in rows if row["told"] and row["tag"] != "all"]),
        "found": plots.percent(rows[0]["found_at_5"]) if rows and rows[0]["tag"] == "all" else None,
    }


def versions(reader: Reader) -> dict[str, Any]:
    """Identities of backbones and detectors, and the tables behind the report."""
    tables = (
        'SELECT table_name AS "table", estimated_size AS "rows",\n'
        "    regexp_extract(comment, 'Version (\\d+)', 1) AS version\n"
        "FROM duckdb_tables()\nWHERE database_name = 'catalogue'\nORDER BY table_name"
    )
    backbones = ("role", "origin", "backbone", "preset", "parameters", "feature_dimension")
    learned_from = ("steps", "photographs", "groups", "simulated_only")
    detectors = ("detector", "family", "track", "detector_id", "detector_version", "backbone", "description")
    fitted = ("n_fit", "n_calibration")
    network = ("detector", "network", "backbone", "left_out", "alpha", "steps", "photographs", "generated")
    return {
        "backbones": reader.table(
            "FROM backbones ORDER BY role",
            {name.replace("_", " "): plain(name) for name in (*backbones, *learned_from)},
        ),
        "detectors": reader.table(
            f"FROM detectors ORDER BY detector, track <> '{HEADLINE}', track",
            {name.replace("_", " "): plain(name) for name in (*detectors, *fitted)}
            | {
                "nominal FPR": share("false_positive_rate"),
                "threshold": plain("threshold"),
                "threshold from": plain("threshold_from"),
                "simulated only": plain("simulated_only"),
            },
        ),
        "networks": reader.table(
            "FROM binary_networks ORDER BY detector",
            {name.replace("_", " "): plain(name) for name in network}
            | {"validation accuracy": plain("validation_accuracy"), "trained on": plain("seen")},
        ),
        "tables": reader.table(tables, {name: plain(name) for name in ("table", "rows", "version")}),
    }


def _coverage_by_make(reader: Reader) -> Table:
    """One row a make, the most frequent first; one column a tag."""
    sql = "FROM exif_coverage WHERE make <> 'all makes' ORDER BY photographs DESC, make, tag"
    makes = plots.runs(reader.rows(sql), "make")[:40]
    tags = tuple(row["tag"] for row in makes[0]) if makes else ()
    rows = [
        [cell(make[0]["make"]), cell(make[0]["photographs"])]
        + [cell(row["share"], plots.percent(row["share"])) for row in make]
        for make in makes
    ]
    return Table(("make", "photographs", *tags), rows, sql)
