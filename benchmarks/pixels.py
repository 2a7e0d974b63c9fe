"""What a photograph of a camera costs, by stage: read, and decoded, cut, hashed and described.

    python -m benchmarks.pixels TABLE [--photographs 200] [--set SET] [--images 50]

TABLE is a CSV file that names photographs in a column `file`; every so manieth is taken, so that many sources are
there. SET is a benchmark set, of which so many images of one generator are described under the default conditions. Both
networks are the untrained one of the default size: what it says is of no use, what it costs is the same. Each stage is
run on all of them, in a process of its own: core-seconds and bytes of its table by picture, and the most memory. Where
PyTorch sees a GPU, networks run there; `device` says so. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from assets.backbone import TRAINED, UNTRAINED, WEIGHTS, backbone, untrained_backbone
from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.corpus import photos, splits
from assets.crawl import files
from assets.crops import crops
from assets.detectors import reference_features
from assets.duplicates import photo_hashes
from assets.exif import exif
from assets.exif_raw import exif_raw
from assets.exif_second_opinion import exif_second_opinion
from assets.partitions import partition_keys
from assets.reference_crops import reference_crops
from assets.square_features import square_features
from assets.stage import Context
from benchmarks.measured import Cost, measured
from warehouse.home import Home
from warehouse.registry import Corpus, Dataset, add_corpus, add_dataset
from warehouse.shards import frame

CORPUS, SET = "photographs", "set"
READ = (files, photos, splits, exif_raw, exif)
SEEN = (exif_second_opinion, crops, photo_hashes, reference_crops, reference_features, square_features)
STAGES = {stage.name: stage for stage in (files, exif_raw, exif, *SEEN)}
LARGEST = {"exif_second_opinion": "exif_pillow"}
"""The table of a stage that takes its room, where that is not the first."""
OTHER = "0" * 16
"""Identity of the network that stands in for a trained one."""


def prepare(home: Home, table: Path, count: int) -> None:
    """A home with so many photographs read, and two backbones."""
    from models.weights import save_untrained

    listed = pl.read_csv(table, infer_schema=False)
    chosen = listed[:: max(1, len(listed) // count)].head(count)
    chosen = chosen.with_columns(file=pl.lit(f"{table.parent.resolve()}/") + pl.col("file"))
    chosen.select("file").write_csv(home.path / "photographs.csv")
    add_corpus(home, CORPUS, Corpus(source=str(home.path / "photographs.csv")))
    for stage in (*READ, untrained_backbone):
        stage.materialise(Context(home, CORPUS) if stage.partitioned else Context(home))
    store = Context(home).store
    networks = store.read("backbones", [UNTRAINED]).with_columns(role=pl.lit(TRAINED), backbone=pl.lit(OTHER))
    save_untrained(home.backbones / OTHER / WEIGHTS, networks["preset"][0], seed=1)
    for name in backbone.tables:
        store.write(name, networks if name == "backbones" else frame(name, []), partition=TRAINED)


def make(home: Home, name: str) -> int:
    """Run a stage on all photographs; how many there are."""
    stage = STAGES[name]
    stage.materialise(Context(home, CORPUS, force=True) if stage.partitioned else Context(home, force=True))
    return len(Context(home).store.read("photos", columns=["photo_id"]))


def prepare_images(home: Home, source: Path, count: int) -> int:
    """Register a set and keep so many images of its first generator."""
    add_dataset(home, SET, Dataset(source=str(source.resolve())))
    context = Context(home, partition_keys(home, "benchmark")[0])
    benchmark_images.materialise(context)
    kept = context.store.read("benchmark_images", [context.partition]).head(count)
    context.store.write("benchmark_images", kept, partition=context.partition)
    return len(kept)


def describe_images(home: Home) -> None:
    """Describe the images of the set."""
    benchmark_features.materialise(Context(home, partition_keys(home, "benchmark")[0], force=True))


def mean_size(home: Home) -> float:
    """Bytes of a photograph's file, on average."""
    sizes = Context(home).store.read("photos", columns=["size_bytes"])["size_bytes"]
    return float(sizes.sum()) / len(sizes)


def device() -> str:
    """Where networks compute."""
    from models.device import inference_device

    return str(inference_device())


def by_picture(home: Home, table: str, cost: Cost, count: int) -> dict[str, float]:
    """Core-seconds and bytes of the table by picture, and the most memory."""
    stored = sum(path.stat().st_size for path in Context(home).store.paths(table))
    return {
        "pictures": count,
        "core_seconds_each": round(cost.core_seconds / count, 4),
        "seconds_each": round(cost.seconds / count, 4),
        "bytes_each": round(stored / count),
        "peak_mb": round(cost.peak_mb),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what a photograph costs where its pixels are needed, by stage")
    parser.add_argument("table", type=Path)
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--set", type=Path, help="a benchmark set")
    parser.add_argument("--images", type=int, default=50)
    asked = parser.parse_args()
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory(prefix="sdaie-pixels-") as folder:
        home = Home(Path(folder))
        measured(prepare, home, asked.table, asked.photographs)
        found["device"], _ = measured(device)
        found["bytes_each"] = round(mean_size(home))
        for name, stage in STAGES.items():
            count, cost = measured(make, home, name)
            found[name] = by_picture(home, LARGEST.get(name, stage.tables[0]), cost, count)
            print(name, found[name], file=sys.stderr, flush=True)
        if asked.set is not None:
            count, _ = measured(prepare_images, home, asked.set, asked.images)
            _, cost = measured(describe_images, home)
            found["benchmark_features"] = by_picture(home, "benchmark_features", cost, count)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
