"""Features of the benchmark images, by backbone, track and perturbation. One partition a set and generator.

What a detector sees of an image belongs to `models/description.py`, what it says of it to `benchmark_scores.py`.
"""

from functools import partial
from pathlib import Path

from assets.backbone import backbone, untrained_backbone
from assets.benchmark_images import benchmark_images, set_and_generator, set_source
from assets.features import Picture, backbone_files, describe_pictures
from assets.stage import Context, Product, stage
from warehouse.shards import Quarantined, Rows, cut_shards, quarantine_partition, run_shards
from warehouse.sources import source_folder

PERTURBATION = "none"


@stage(
    group="benchmark",
    tables=["benchmark_features"],
    partitioned="benchmark",
    upstream=[benchmark_images, backbone, untrained_backbone],
    kinds=["parquet", "torch"],
)
def benchmark_features(context: Context) -> Product:
    """Features of every image on every track by the trained and the untrained backbone."""
    dataset, _ = set_and_generator(context)
    folder = source_folder(set_source(context))
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
