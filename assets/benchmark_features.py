"""Features of the benchmark images by track and perturbation. One partition a set and generator.

What a detector sees of an image belongs to `models/description.py`, what it says of it to `benchmark_scores.py`.
"""

from functools import partial
from pathlib import Path

from assets.backbone import backbone
from assets.benchmark_images import benchmark_images, set_and_generator, set_folder
from assets.conditions import set_conditions
from assets.features import Condition, describe_pictures, trained_backbone
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped
from warehouse.shards import Quarantined, Rows, cut_shards, quarantine_partition, run_shards
from warehouse.source_folder import FolderSource


@stage(
    group="benchmark",
    tables=["benchmark_features"],
    partitioned="benchmark",
    upstream=[benchmark_images, backbone],
    settings=set_conditions,
    version=3,
    kinds=["parquet", "torch"],
)
def benchmark_features(context: Context) -> Product:
    """Token 0 by the trained backbone and complexity of every image on every track and after every perturbation.

    What is known of an image is not computed again: a new image costs one image, a wider grid what it adds.
    """
    dataset, _ = set_and_generator(context)
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri"])
    pictures = [Place(image_id, dataset, uri) for image_id, uri in images.iter_rows()]
    identity, weights = trained_backbone(context)
    wanted = [Condition(track, name) for track, names in set_conditions(context) for name in names]
    made_with = [context.version, identity, wanted]
    work = cut_shards("benchmark_features", pictures, lambda p: p.sha256, lambda p: p.sha256, made_with)
    earlier = earlier_shards(
        context.store, "benchmark_features", context.partition, "image_id", context.version, context.force
    )
    compute = context.compute.networks()
    rows, refused = run_shards(
        context.store,
        compute,
        "benchmark_features",
        stamped(work, context.version),
        partial(
            describe_images,
            dataset,
            FolderSource(set_folder(context)),
            earlier,
            identity,
            weights,
            wanted,
            compute.cores_each,
        ),
        partition=context.partition,
        progress=context.progress(f"features of {context.partition}"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    return Product(
        {"benchmark_features": rows},
        {"images": len(pictures) - quarantined, "quarantined": quarantined, "conditions": len(wanted)},
        {quarantine_partition("benchmark_features", context.partition): refused},
    )


def describe_images(
    dataset: str,
    source: Source,
    earlier: EarlierShards,
    backbone: str,
    weights: Path,
    wanted: list[Condition],
    decoders: int,
    pictures: tuple[Place, ...],
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `benchmark_features` for some images of a set, and those that cannot be decoded; known rows are kept."""
    known = earlier.rows({picture.sha256 for picture in pictures}, {"backbone": [backbone]})
    asked = set(wanted)
    taken = {
        (row["image_id"], condition): row
        for row in known.iter_rows(named=True)
        if (condition := Condition(row["track"], row["perturbation"])) in asked
    }
    missing = {
        picture.sha256: [condition for condition in wanted if (picture.sha256, condition) not in taken]
        for picture in pictures
    }
    described, refused = describe_pictures(backbone, weights, {dataset: source}, pictures, missing, decoders)
    rows = [{"dataset": dataset, "image_id": row.pop("sha256"), **row} for row in described]
    return [*taken.values(), *rows], refused
