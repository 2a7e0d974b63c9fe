"""Benchmark sets: their images, features, scores, metrics and calibration. One partition a set and generator.

Layouts belong to `warehouse/benchmark_sets.py`, what a detector says to `models/one_class.py`, how it is measured to
`models/metrics.py`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from assets.backbone import backbone, untrained_backbone
from assets.corpus import photos
from assets.detectors import DETECTORS, detectors, feature_matrix, load_detectors
from assets.features import Picture, backbone_files, describe_pictures
from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import REAL, Listing, list_images
from warehouse.exif_rules import SIMULATOR
from warehouse.home import UserError
from warehouse.registry import resolve
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_frame, quarantine_partition, run_shards
from warehouse.sources import RefusedError, look, read_bytes, source_folder

PERTURBATION = "none"
SMALL_SETS, ALL = "small_sets", "all"
SMALL = 20
NOMINAL_RATES = (0.01, 0.02, 0.05, 0.10)


def _set_and_generator(context: Context) -> tuple[str, str]:
    dataset, _, generator = context.partition.partition(".")
    return dataset, generator


def _source(context: Context) -> Path:
    return resolve(context.home, context.registry.datasets[_set_and_generator(context)[0]].source)


def _listings(context: Context) -> list[Listing]:
    generator = _set_and_generator(context)[1]
    return [listing for listing in list_images(_source(context)) if listing.generator == generator]


def _images_settings(context: Context) -> object:
    folder = source_folder(_source(context))
    return [[*vars(listing).values(), *_stat(folder / listing.uri)] for listing in _listings(context)]


def _stat(path: Path) -> tuple[int | None, int | None]:
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


@stage(
    group="benchmark",
    tables=["benchmark_images"],
    partitioned="benchmark",
    external=["benchmark_sets"],
    settings=_images_settings,
)
def benchmark_images(context: Context) -> Product:
    """The images of one generator of a benchmark set by content, or its photographs (generator `real`)."""
    dataset, _ = _set_and_generator(context)
    folder = source_folder(_source(context))
    found: dict[str, dict[str, Any]] = {}
    refused: list[Quarantined] = []
    listings = _listings(context)
    for listing in listings:
        try:
            facts = look(read_bytes(folder, listing.uri))
        except RefusedError as error:
            refused.append(Quarantined(dataset, listing.uri, error.reason, error.detail))
            continue
        first = found.get(facts.sha256)
        if first is None:
            found[facts.sha256] = _image_row(dataset, listing) | {
                "image_id": facts.sha256,
                "format": facts.format,
                "width": facts.width,
                "height": facts.height,
                "size_bytes": facts.size,
                "simulated": facts.software == SIMULATOR,
            }
            continue
        # A photograph may serve several generators: it is scored once and belongs to all their sources.
        first["source"] = "+".join(sorted({*first["source"].split("+"), listing.source}))
        refused.append(
            Quarantined(dataset, listing.uri, "same_content", f"the same bytes as {first['uri']}", facts.sha256)
        )
    quarantine = quarantine_frame("benchmark_images", refused)
    return Product(
        {"benchmark_images": frame("benchmark_images", list(found.values()))},
        {"listed": len(listings), "images": len(found), "quarantined": len(refused)},
        {quarantine_partition("benchmark_images", context.partition): quarantine},
    )


def _image_row(dataset: str, listing: Listing) -> dict[str, Any]:
    return {"dataset": dataset} | vars(listing)


@stage(
    group="benchmark",
    tables=["benchmark_features"],
    partitioned="benchmark",
    upstream=[benchmark_images, backbone, untrained_backbone],
    kinds=["parquet", "torch"],
)
def benchmark_features(context: Context) -> Product:
    """Features of every image on every track by the trained and the untrained backbone."""
    dataset, _ = _set_and_generator(context)
    folder = source_folder(_source(context))
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri"])
    pictures: list[Picture] = [(image_id, folder, dataset, uri) for image_id, uri in images.iter_rows()]
    files = backbone_files(context)
    rows, refused = run_shards(
        context.store,
        context.single_process,
        "benchmark_features",
        cut_shards("benchmark_features", pictures, lambda p: p[0], lambda p: p[0], [context.version, *files]),
        partial(describe_images, files, dataset),
        partition=context.partition,
        progress=context.progress(f"features of {context.partition}"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    return Product(
        {"benchmark_features": rows},
        {"images": len(pictures) - quarantined, "quarantined": quarantined},
        {quarantine_partition("benchmark_features", context.partition): refused},
    )


def describe_images(
    files: dict[str, Path], dataset: str, pictures: tuple[Picture, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `benchmark_features` for some images of a set, and those that cannot be decoded."""
    described, refused = describe_pictures(files, pictures)
    rows = [
        {"dataset": dataset, "image_id": row.pop("sha256"), "perturbation": PERTURBATION, **row} for row in described
    ]
    return rows, refused


@stage(
    group="benchmark",
    tables=["benchmark_scores"],
    partitioned="benchmark",
    upstream=[photos, benchmark_images, benchmark_features, detectors],
    kinds=["parquet", "scikitlearn"],
)
def benchmark_scores(context: Context) -> Product:
    """What each detector says of each image, with its conformal p-value; no score has a reason."""
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri", "generator", "label"])
    _refuse_leakage(context, images)
    features = context.store.read("benchmark_features", [context.partition]).join(images, on="image_id")
    parts = []
    for name, (identity, detector) in load_detectors(context).items():
        for (track,), rows in _of_backbone(context, features, name).group_by(["track"], maintain_order=True):
            judged = rows.filter(pl.col("reason").is_null())
            score, p_value, flagged = detector.judge(str(track), feature_matrix(judged, detector.pooling))
            said = pl.DataFrame(
                {"image_id": judged["image_id"], "score": score, "p_value": p_value, "flagged": flagged}
            )
            parts.append(
                rows.select("dataset", "image_id", "track", "perturbation", "generator", "label", "reason")
                .join(said, on="image_id", how="left")
                .with_columns(detector=pl.lit(name), detector_id=pl.lit(identity))
            )
    scores = pl.concat([frame("benchmark_scores", []), *(_ordered(part) for part in parts)])
    return Product({"benchmark_scores": scores}, {"left_out": scores["score"].null_count()})


def _of_backbone(context: Context, features: pl.DataFrame, detector: str) -> pl.DataFrame:
    identity = list(backbone_files(context))[0 if DETECTORS[detector].trained else 1]
    return features.filter(pl.col("backbone") == identity)


def _ordered(part: pl.DataFrame) -> pl.DataFrame:
    empty = frame("benchmark_scores", [])
    return part.select(empty.columns).cast(empty.schema)


def _refuse_leakage(context: Context, images: pl.DataFrame) -> None:
    """Raises UserError where an image to be judged is among the photographs that the detectors learned from."""
    leaked = images.join(context.store.read("photos", columns=["photo_id"]), left_on="image_id", right_on="photo_id")
    if len(leaked):
        named = ", ".join(leaked["uri"].head(3))
        raise UserError(
            f"{context.partition}: {len(leaked)} images are also in a registered corpus ({named}, ...): "
            "take them out of the corpus or out of the set; what was learned from may not be scored"
        )


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
