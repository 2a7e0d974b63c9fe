"""Pictures that look like what was learned from: perceptual hashes, and the pairs that are near. A warning.

How a picture is hashed belongs to `models/perceptual.py`. Pictures with the very bytes of one that was learned from are
an error, which `benchmark_scores.py` raises.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import polars as pl

from assets.benchmark_images import benchmark_images, set_and_generator, set_folder
from assets.binary_images import binary_images
from assets.conditions import evaluated_sets
from assets.corpus import photo_places, photos
from assets.decoding import hashing
from assets.stage import Context, Product, stage
from warehouse.places import Place, RefusedError, Source
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_partition, run_shards
from warehouse.source_folder import FolderSource
from warehouse.sources import corpus_sources, read_place

PHOTOS = "photos"
TRAIN = "train"


@stage(
    group="benchmark",
    tables=["perceptual_hashes"],
    upstream=[photos],
    kinds=["parquet", "pillow"],
    table_partition=PHOTOS,
)
def photo_hashes(context: Context) -> Product:
    """Perceptual hash of every photograph; what cannot be decoded, or is too plain to be told apart, has none."""
    pictures = photo_places(context.store.read("photos"))
    return _hashed(context, pictures, corpus_sources(context.home, context.registry), PHOTOS, PHOTOS)


@stage(
    group="benchmark",
    tables=["perceptual_hashes"],
    partitioned="benchmark",
    upstream=[benchmark_images],
    kinds=["parquet", "pillow"],
)
def benchmark_hashes(context: Context) -> Product:
    """Perceptual hash of every image of a benchmark set; what cannot be decoded, or is too plain, has none."""
    dataset, _ = set_and_generator(context)
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "dataset", "uri"])
    pictures = [Place(*row) for row in images.iter_rows()]
    return _hashed(context, pictures, {dataset: FolderSource(set_folder(context))}, context.partition, dataset)


def _hashed(
    context: Context, pictures: Sequence[Place], sources: Mapping[str, Source], partition: str, dataset: str
) -> Product:
    rows, refused = run_shards(
        context.store,
        context.compute,
        "perceptual_hashes",
        cut_shards(
            "perceptual_hashes", pictures, lambda p: p.sha256, lambda p: [p.sha256, p.uri], [context.version, dataset]
        ),
        partial(hash_pictures, sources, dataset),
        partition=partition,
        progress=context.progress(f"perceptual hashes of {partition}"),
        again=context.force,
    )
    hashed = sum(shard.rows for shard in rows)
    return Product(
        {"perceptual_hashes": rows},
        {"hashed": hashed, "not_hashed": len(pictures) - hashed},
        {quarantine_partition("perceptual_hashes", partition): refused},
    )


def hash_pictures(
    sources: Mapping[str, Source], dataset: str, pictures: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `perceptual_hashes` for some pictures. Nothing is quarantined: stages that need the pixels do that."""
    rows: Rows = []
    with hashing() as perceptual_hash:
        for place in pictures:
            try:
                found = perceptual_hash(read_place(sources, place))
            except RefusedError:
                continue
            if found is not None:
                rows.append({"content": place.sha256, "dataset": dataset, "uri": place.uri, "hash": found})
    return rows, []


@stage(
    group="benchmark",
    tables=["near_duplicates"],
    upstream=[photos, benchmark_images, binary_images, photo_hashes, benchmark_hashes],
    settings=evaluated_sets,
)
def near_duplicates(context: Context) -> Product:
    """Benchmark images that look like a photograph of a corpus, or like one that trains the binary detector."""
    from models.perceptual import NEAR, near_pairs

    partitions = context.benchmark_partitions()
    for partition in set(context.store.partitions("perceptual_hashes")) - {PHOTOS, *partitions}:
        quarantine = quarantine_partition("perceptual_hashes", partition)
        context.store.drop("perceptual_hashes", partition, beside=[("quarantine", quarantine)])
    learned = _learned(context, partitions)
    trained = context.store.read("binary_images", columns=["image_id", "part"]).filter(pl.col("part") == TRAIN)
    judged = (
        context.store.read("benchmark_images", partitions, ["image_id", "dataset", "uri", "generator"])
        .filter(pl.col("dataset").is_in(evaluated_sets(context)))
        .join(trained, on="image_id", how="anti")
        .join(_hashes(context, partitions), on=["image_id", "dataset"])
    )
    first, second, distance = near_pairs(judged["hash"].to_list(), learned["hash"].to_list(), NEAR)
    pairs = (
        pl.concat([judged[first].drop("hash"), learned[second].drop("hash")], how="horizontal")
        .with_columns(distance=pl.Series(distance, dtype=pl.Int8))
        .filter(pl.col("image_id") != pl.col("photo_id"))
        .unique(["dataset", "image_id", "photo_id"], keep="first", maintain_order=True)
    )
    images = pairs["image_id"].n_unique()
    if images:
        context.say(f"{images} benchmark images look like a picture that was learned from: see table near_duplicates")
    empty = frame("near_duplicates", [])
    numbers = {"pairs": len(pairs), "images": images, "compared": len(judged) * len(learned)}
    return Product({"near_duplicates": pairs.select(empty.columns).cast(empty.schema)}, numbers)


def _learned(context: Context, partitions: list[str]) -> pl.DataFrame:
    """What was learned from and has a hash: photo_id, corpus (or set), photo_uri, hash; photographs first."""
    known = context.store.read("photos", columns=["photo_id", "corpus", "uri"])
    hashes = context.store.read("perceptual_hashes", [PHOTOS], ["content", "hash"])
    photographs = known.join(hashes, left_on="photo_id", right_on="content")
    binary = context.store.read("binary_images", columns=["image_id", "dataset", "uri", "part"])
    trained = (
        binary.filter(pl.col("part") == TRAIN)
        .join(_hashes(context, partitions), on=["image_id", "dataset"])
        .select(pl.col("image_id").alias("photo_id"), pl.col("dataset").alias("corpus"), "uri", "hash")
    )
    return pl.concat([photographs, trained]).rename({"uri": "photo_uri"})


def _hashes(context: Context, partitions: list[str]) -> pl.DataFrame:
    hashes = context.store.read("perceptual_hashes", partitions, ["content", "dataset", "hash"])
    return hashes.rename({"content": "image_id"}).unique(["image_id", "dataset"], maintain_order=True)
