"""How the detectors do on the benchmark sets: metrics, comparisons and calibration over all sets and generators.

Which images are compared belongs to `benchmark_cells.py`, how scores are measured to `models/metrics.py` and
`models/comparison.py`; the scores come from `benchmark_scores.py`.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.benchmark_cells import ALL, Condition, Floats, Mask, complexity_of, scored_sets
from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.benchmark_scores import benchmark_scores
from assets.binary import generator_name
from assets.detectors import detectors
from assets.format_rule import format_rule
from assets.other_detectors import other_detectors
from assets.pixel_detectors import FORMAT_RULE
from assets.pixel_scores import REFERENCE
from assets.score_tables import TABLE_SCORES, table_scores
from assets.square_detectors import square_detectors
from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import REAL
from warehouse.shards import Rows, frame, quarantine_partition

if TYPE_CHECKING:
    from models.bootstrap import Resamples

SCORES = (benchmark_scores, table_scores, format_rule)
NOTHING: frozenset[str] = frozenset()
NOMINAL_RATES = (0.01, 0.02, 0.05, 0.10)


@stage(
    group="benchmark",
    tables=["benchmark_metrics"],
    upstream=[benchmark_images, benchmark_features, *SCORES, detectors, other_detectors, square_detectors],
    version=2,
    kinds=["parquet", "scikitlearn"],
)
def benchmark_metrics(context: Context) -> Product:
    """Metrics of each detector by generator, track and perturbation, with 95% bootstrap intervals."""
    _drop_unregistered(context, context.benchmark_partitions())
    seen = _seen(context)
    rows: Rows = []
    for scored in scored_sets(context):
        complexity = complexity_of(context, scored)
        members = {each.detector: scored.members(seen.get(each.detector, NOTHING)) for each in scored.conditions}
        generators = dict.fromkeys(name for own in members.values() for name in own)
        progress = context.progress(f"metrics of {scored.dataset}")
        for done, generator in enumerate(generators):
            progress(done, len(generators))
            chosen = [(each, members[each.detector].get(generator)) for each in scored.conditions]
            work = [(member.images & each.scored, (each, member)) for each, member in chosen if member]
            for judged, drawn, alike in scored.resampled(work):
                for condition, member in alike:
                    busy = complexity.get((condition.track, condition.perturbation))
                    counts = {"left_out": int(member.images.sum() - judged.sum()), "seen": member.seen}
                    row = _metrics(condition, judged, drawn, busy)
                    rows.append({"dataset": scored.dataset, "generator": generator} | row | counts)
    return Product({"benchmark_metrics": frame("benchmark_metrics", rows)}, _headline(rows))


def _seen(context: Context) -> dict[str, frozenset[str]]:
    """Names of the generators that each detector was trained on, in lower case."""
    table = context.store.read("detectors", columns=["detector", "seen"]).drop_nulls().unique()
    named: dict[str, set[str]] = {}
    for detector, seen in table.iter_rows():
        named.setdefault(detector, set()).update(generator_name(entry) for entry in seen.split("+"))
    return {detector: frozenset(generators) for detector, generators in named.items()}


def _metrics(condition: Condition, judged: Mask, drawn: "Resamples", complexity: Floats | None) -> dict[str, Any]:
    from models.metrics import evaluate

    metrics = evaluate(
        drawn.labels,
        condition.score[judged],
        None if condition.flagged is None else condition.flagged[judged],
        complexity=None if complexity is None else complexity[judged],
        resamples=drawn,
    )
    return vars(metrics) | {
        "detector": condition.detector,
        "detector_id": condition.detector_id,
        "track": condition.track,
        "perturbation": condition.perturbation,
    }


def _headline(rows: Rows) -> dict[str, float]:
    return {
        f"auroc_{row['dataset']}_{row['detector']}": round(row["auroc"], 4)
        for row in rows
        if (row["generator"], row["track"], row["perturbation"]) == (ALL, "format_matched", "none")
        and row["auroc"] is not None
    }


def _drop_unregistered(context: Context, registered: list[str]) -> None:
    # Scores made for whole sets, and those of the reference, are in partitions of their own.
    kept = {*registered, FORMAT_RULE, TABLE_SCORES, REFERENCE}
    for table in ("benchmark_images", "benchmark_features", "pixel_scores", "benchmark_scores"):
        for partition in set(context.store.partitions(table)) - kept:
            context.store.drop(table, partition, beside=[("quarantine", quarantine_partition(table, partition))])


@stage(
    group="benchmark",
    tables=["benchmark_comparisons"],
    upstream=[benchmark_images, *SCORES, detectors, other_detectors, square_detectors],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_comparisons(context: Context) -> Product:
    """Difference in AUROC of every two detectors on the same images, not perturbed; each pair in both directions."""
    seen = _seen(context)
    rows: Rows = []
    for scored in scored_sets(context, perturbation="none"):
        pairs = [(a, b) for a, b in combinations(scored.conditions, 2) if a.track == b.track]
        for generator in scored.members(NOTHING):
            work = []
            for pair in pairs:
                either = frozenset().union(*(seen.get(each.detector, NOTHING) for each in pair))
                member = scored.members(either).get(generator)
                if member is not None and not member.seen:
                    work.append((member.images & pair[0].scored & pair[1].scored, pair))
            for judged, drawn, alike in scored.resampled(work):
                for row in _comparisons(alike, judged, drawn):
                    rows.append({"dataset": scored.dataset, "generator": generator} | row)
    return Product({"benchmark_comparisons": frame("benchmark_comparisons", rows)})


def _comparisons(
    pairs: list[tuple[Condition, Condition]], judged: Mask, drawn: "Resamples"
) -> Iterator[dict[str, Any]]:
    """Both directions of each pair: whoever asks for one detector finds all its comparisons."""
    from models.comparison import compare_pairs

    def key(condition: Condition) -> tuple[str, str]:
        return condition.track, condition.detector

    scores = {key(condition): condition.score[judged] for pair in pairs for condition in pair}
    compared = compare_pairs(drawn, scores, [(key(a), key(b)) for a, b in pairs])
    for (a, b), found in zip(pairs, compared, strict=True):
        turned = {
            "difference": _negative(found.difference),
            "difference_low": _negative(found.difference_high),
            "difference_high": _negative(found.difference_low),
        }
        yield vars(found) | {"track": a.track, "detector": a.detector, "other": b.detector}
        yield vars(found) | turned | {"track": a.track, "detector": b.detector, "other": a.detector}


def _negative(number: float | None) -> float | None:
    return None if number is None else 0.0 - number


@stage(
    group="benchmark",
    tables=["benchmark_calibration"],
    upstream=[benchmark_images, benchmark_scores, detectors, other_detectors, square_detectors],
    version=2,
    kinds=["parquet", "scikitlearn"],
)
def benchmark_calibration(context: Context) -> Product:
    """Realised against nominal false-positive rate on validation photographs and on every source of the sets."""
    from models.metrics import realised_fpr

    keys = ["detector", "track", "origin", "source"]
    validation = (
        context.store.read("photo_scores")
        .filter(pl.col("fold") == 3)
        .select("detector", "track", pl.lit("validation").alias("origin"), pl.col("corpus").alias("source"), "p_value")
    )
    reals = [partition for partition in context.benchmark_partitions() if partition.endswith(f".{REAL}")]
    sources = context.store.read("benchmark_images", reals, ["dataset", "image_id", "source"])
    benchmark = (
        context.store.read(
            "benchmark_scores", reals, ["detector", "dataset", "image_id", "track", "perturbation", "p_value"]
        )
        .filter(pl.col("perturbation") == "none")
        .join(sources, on=["dataset", "image_id"])
        # A photograph that serves several sources counts in each.
        .with_columns(pl.col("source").str.split("+"))
        .explode("source")
        .select("detector", "track", pl.col("dataset").alias("origin"), "source", "p_value")
    )
    # Without a p-value: the image could not be judged, or the detector has no calibration.
    judged = pl.concat([validation, benchmark]).drop_nulls("p_value").sort(keys)
    rows: Rows = []
    for key, part in judged.group_by(keys, maintain_order=True):
        rows += [
            dict(zip(keys, key, strict=True))
            | {"nominal_fpr": r.nominal, "photographs": r.n, "flagged": r.flagged}
            | {"realised_fpr": r.rate, "realised_low": r.low, "realised_high": r.high}
            for r in realised_fpr(part["p_value"].to_numpy(), NOMINAL_RATES)
        ]
    return Product({"benchmark_calibration": frame("benchmark_calibration", rows)})
