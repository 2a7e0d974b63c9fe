"""How the detectors do on the benchmark sets: metrics and calibration over all sets and generators.

How scores are measured belongs to `models/metrics.py`; the scores come from `benchmark_scores.py`.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from assets.benchmark_images import benchmark_images
from assets.benchmark_scores import benchmark_scores
from assets.detectors import detectors
from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import REAL
from warehouse.shards import Rows, frame, quarantine_partition

SMALL_SETS, ALL = "small_sets", "all"
SMALL = 20
NOMINAL_RATES = (0.01, 0.02, 0.05, 0.10)


@stage(
    group="benchmark",
    tables=["benchmark_metrics"],
    upstream=[benchmark_images, benchmark_scores],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_metrics(context: Context) -> Product:
    """Metrics of each detector by generator and track, with 95% bootstrap intervals; generated is positive."""
    partitions = context.benchmark_partitions()
    _drop_unregistered(context, partitions)
    images = context.store.read("benchmark_images", partitions, ["dataset", "image_id", "source", "paired_real"])
    scores = context.store.read("benchmark_scores", partitions).join(images, on=["dataset", "image_id"])
    rows: Rows = []
    keys = ["detector", "detector_id", "dataset", "track", "perturbation"]
    for key, scored in scores.group_by(keys, maintain_order=True):
        for generator, chosen in _generator_sets(scored):
            rows.append(dict(zip(keys, key, strict=True)) | {"generator": generator} | _metrics(chosen))
    return Product({"benchmark_metrics": frame("benchmark_metrics", rows)}, _headline(rows))


def _generator_sets(scored: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each generator with the photographs it is compared with; the small ones together; everything."""
    fakes = scored.filter(pl.col("label") == 1)
    reals = scored.filter(pl.col("label") == 0)
    sizes = dict(fakes.group_by("generator").len().sort("generator").iter_rows())
    small = [generator for generator, size in sizes.items() if size < SMALL]
    chosen = {generator: [generator] for generator in sizes} | ({SMALL_SETS: small} if small else {})
    for name, generators in chosen.items():
        its = fakes.filter(pl.col("generator").is_in(generators))
        yield name, pl.concat([its, _paired(reals, its)])
    yield ALL, scored


def _paired(reals: pl.DataFrame, fakes: pl.DataFrame) -> pl.DataFrame:
    if fakes["paired_real"].null_count():
        return reals
    wanted = set("+".join(fakes["paired_real"].unique()).split("+"))
    return reals.filter(pl.col("source").str.split("+").list.set_intersection(list(wanted)).list.len() > 0)


def _metrics(scored: pl.DataFrame) -> dict[str, Any]:
    from models.metrics import evaluate

    judged = scored.filter(pl.col("score").is_not_null()).sort("image_id")
    metrics = evaluate(
        judged["label"].to_numpy(),
        judged["score"].to_numpy(),
        judged["flagged"].to_numpy(),
        sources=judged["source"].to_numpy(),
    )
    return vars(metrics) | {"left_out": len(scored) - len(judged)}


def _headline(rows: Rows) -> dict[str, float]:
    return {
        f"auroc_{row['dataset']}_{row['detector']}": round(row["auroc"], 4)
        for row in rows
        if row["generator"] == ALL and row["track"] == "format_matched" and row["auroc"] is not None
    }


def _drop_unregistered(context: Context, registered: list[str]) -> None:
    for table in ("benchmark_images", "benchmark_features", "benchmark_scores"):
        for partition in set(context.store.partitions(table)) - set(registered):
            context.store.drop(table, partition)
            context.store.drop("quarantine", quarantine_partition(table, partition))


@stage(
    group="benchmark",
    tables=["benchmark_calibration"],
    upstream=[benchmark_images, benchmark_scores, detectors],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_calibration(context: Context) -> Product:
    """Realised against nominal false-positive rate on validation photographs and on every source of the sets."""
    from models.metrics import realised_fpr

    partitions = context.benchmark_partitions()
    keys = ["detector", "track", "origin", "source"]
    validation = (
        context.store.read("photo_scores")
        .filter(pl.col("fold") == 3)
        .select("detector", "track", pl.lit("validation").alias("origin"), pl.col("corpus").alias("source"), "p_value")
    )
    reals = [partition for partition in partitions if partition.endswith(f".{REAL}")]
    sources = context.store.read("benchmark_images", reals, ["dataset", "image_id", "source"])
    benchmark = (
        context.store.read("benchmark_scores", reals)
        .filter(pl.col("score").is_not_null())
        .join(sources, on=["dataset", "image_id"])
        .select("detector", "track", pl.col("dataset").alias("origin"), "source", "p_value")
    )
    rows: Rows = []
    for key, judged in pl.concat([validation, benchmark]).sort(keys).group_by(keys, maintain_order=True):
        rows += [
            dict(zip(keys, key, strict=True))
            | {"nominal_fpr": r.nominal, "photographs": r.n, "flagged": r.flagged}
            | {"realised_fpr": r.rate, "realised_low": r.low, "realised_high": r.high}
            for r in realised_fpr(judged["p_value"].to_numpy(), NOMINAL_RATES)
        ]
    return Product({"benchmark_calibration": frame("benchmark_calibration", rows)})
