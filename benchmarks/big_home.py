"""A home with the tables of many photographs and no photographs behind them: simulated rows in the stages' own shards.

The corpus is N names in folders of 100, hard links to a few small files. `files`, `exif_raw` and `exif_pillow` say of
each name that it is a photograph of its own; their shards carry the digests of inputs that the stages look for, so the
stages find them finished. What is measured on such a home belongs to `big_tables.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from assets.corpus import photo_places
from assets.crawl import files
from assets.exif_raw import exif_raw, exiftool_version
from assets.exif_second_opinion import exif_second_opinion
from assets.stage import Context
from benchmarks.scaling import CORPUS, STAGES, fill, make
from warehouse.compute import Compute
from warehouse.home import Home
from warehouse.places import Place
from warehouse.registry import Corpus, add_corpus
from warehouse.reuse import stamped
from warehouse.revisions import PHOTO
from warehouse.schema import FLOAT, TABLES
from warehouse.shards import Quarantined, Rows, ShardWork, cut_shards, frame, quarantine_frame, run_shards
from warehouse.store import Store, shard_bits, shard_of

_SAMPLE = 1_000
_LINKS = 50_000
"""Names of one file: file systems allow some 65,000."""
_DATASET = "dev"
_DETECTORS = [f"detector_{number}" for number in range(8)]
_TRACKS = ("as_shipped", "format_matched", "in_the_wild")
_GENERATORS = [f"generator_{number:02d}" for number in range(20)]
_CONDITIONS = ("none", "jpeg_75", "jpeg_50", "webp_80", "resize_0.5", "blur_1", "noise_5")
_SEED = 7


def uri(number: int) -> str:
    """The name of a file below the corpus."""
    return f"{number // 100:06d}/{number:08d}.jpg"


def make_corpus(home: Home, count: int) -> None:
    """Register a corpus of so many names."""
    corpus, originals = home.path / "corpus", home.path / "originals"
    fill(originals, range(-(-count // _LINKS)))
    known = sorted(originals.rglob("*.jpg"))
    for number in range(count):
        if number % 100 == 0:
            (corpus / uri(number)).parent.mkdir(parents=True)
        os.link(known[number // _LINKS], corpus / uri(number))
    add_corpus(home, CORPUS, Corpus(source=str(corpus)))


def write_files(home: Home, count: int) -> None:
    """`files` as a crawl would leave it, but for the contents, which are all different."""
    context, schema = Context(home, CORPUS), frame("files", []).schema
    bits = shard_bits(count, TABLES["files"].shard_rows)
    members: dict[str, list[int]] = {}
    for number in range(count):
        members.setdefault(shard_of(_sha256(uri(number)), bits), []).append(number)
    seen = [(home.path / "corpus" / uri(number)).stat() for number in range(0, count, _LINKS)]
    written, refused = [], []
    for shard, numbers in sorted(members.items()):
        facts = [seen[number // _LINKS] for number in numbers]
        columns: dict[str, Any] = {
            "uri": [uri(number) for number in numbers],
            "modified_ns": [status.st_mtime_ns for status in facts],
            "group": [f"{CORPUS}/{number // 100:06d}" for number in numbers],
            "photo_id": [_sha256(str(number)) for number in numbers],
            "size_bytes": [status.st_size for status in facts],
        }
        constants = {"corpus": CORPUS, "revision": 0, "state": PHOTO, "format": "JPEG", "width": 64, "height": 48}
        rows = pl.DataFrame(dict.fromkeys(schema) | constants | columns, schema=schema)
        beside = context.store.write_shard(
            "quarantine", quarantine_frame("files", []), partition=f"files.{CORPUS}", shard=shard
        )
        written.append(context.store.write_shard("files", rows, partition=CORPUS, shard=shard, beside=beside.file))
        refused.append(beside)
    context.store.commit("quarantine", refused, partition=f"files.{CORPUS}")
    context.store.commit("files", written, partition=CORPUS, provenance=files.provenance(context))


def write_exif(home: Home) -> None:
    """Shards of `exif_raw` and `exif_pillow`, of what is known of a thousand simulated photographs; none is committed.

    Needs `photos`.
    """
    tags, known = _sample(Home(home.path / "sample"))
    context, version = Context(home), exiftool_version()
    places = photo_places(context.store.read("photos"))
    made_by = [exif_raw.version, version]
    work = stamped(cut_shards("exif_raw", places, lambda place: place.sha256, list, made_by), made_by)
    _write_shards(context, "exif_raw", work, partial(_tags, tags, version))
    settings = [exif_second_opinion.version, STAGES["exif"].version, STAGES["exif_second_opinion"].settings(context)]
    read = cut_shards("exif_pillow", places, lambda place: place.sha256, lambda place: place.sha256, settings)
    _write_shards(context, "exif_pillow", stamped(read, settings), partial(_second_opinion, known))


def write_scores(home: Home, count: int) -> None:
    """`benchmark_scores` and `photo_scores` of about so many rows each, and the small tables that go with them."""
    store, random = Store(home.tables), np.random.default_rng(_SEED)
    conditions = _cross(detector=_DETECTORS, perturbation=_CONDITIONS)
    images = max(1, count // len(conditions) // len(_GENERATORS))
    condition = {"track": "format_matched", "dataset": _DATASET}
    for generator in _GENERATORS:
        keys = pl.DataFrame({"image_id": [_sha256(f"{generator} {number}") for number in range(images)]})
        keys = keys.with_columns(label=pl.int_range(pl.len()) % 2, uri=pl.col("image_id") + ".png")
        made = {"dataset": _DATASET, "generator": generator}
        partition = f"{_DATASET}.{generator}"
        store.write(
            "benchmark_images", _invented("benchmark_images", random, keys, **made, source="real"), partition=partition
        )
        keys = keys.drop("uri").join(conditions, how="cross")
        rows = _invented("benchmark_scores", random, keys, **condition, generator=generator, flagged=False)
        store.write("benchmark_scores", rows, partition=partition)
    cells = _cross(detector=_DETECTORS, perturbation=_CONDITIONS, generator=[*_GENERATORS, "all"])
    counts: dict[str, Any] = {"n_real": images // 2, "n_fake": images // 2, "left_out": 0, "detector_id": "0" * 16}
    rows = _invented("benchmark_metrics", random, cells, **condition, **counts)
    store.write("benchmark_metrics", rows, partition=_DATASET)
    fitted = _cross(detector=_DETECTORS, track=_TRACKS).with_columns(family="detector")
    store.write("detectors", _invented("detectors", random, fitted, detector_id="0" * 16))
    judged = store.read("photos", columns=["photo_id", "corpus", "group"]).head(count // len(fitted))
    keys = judged.join(fitted.drop("family"), how="cross").with_columns(fold=pl.int_range(pl.len()) % 2 + 3)
    store.write("photo_scores", _invented("photo_scores", random, keys, flagged=False))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sample(home: Home) -> tuple[list[str], Rows]:
    """Tags as JSON, and rows of `exif_pillow`, of simulated photographs."""
    home.path.mkdir()
    fill(home.path / "corpus", range(_SAMPLE))
    add_corpus(home, CORPUS, Corpus(source=str(home.path / "corpus")))
    for name in STAGES:
        make(home, name)
    store = Store(home.tables)
    return store.read("exif_raw")["tags"].to_list(), store.read("exif_pillow").to_dicts()


def _write_shards(
    context: Context,
    table: str,
    work: Sequence[ShardWork[Place]],
    function: Callable[[tuple[Place, ...]], tuple[Rows, list[Quarantined]]],
) -> None:
    run_shards(context.store, Compute(), table, work, function, progress=lambda done, total: None)


def _tags(tags: Sequence[str], version: str, places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_raw`: the tags of one of the sample, at another time."""
    rows: Rows = []
    for place in places:
        number = int(place.sha256[:8], 16)
        taken = f'"ExifIFD:DateTimeOriginal":"2022:{number % 12 + 1:02d}:{number % 28 + 1:02d} '
        said = tags[number % len(tags)].replace('"ExifIFD:DateTimeOriginal":"2023:01:01 ', taken)
        rows.append({"photo_id": place.sha256, "tags": said, "warnings": None, "exiftool_version": version})
    return rows, []


def _second_opinion(known: Rows, places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_pillow`: those of the sample."""
    return [known[int(place.sha256[:8], 16) % len(known)] | {"photo_id": place.sha256} for place in places], []


def _cross(**columns: Sequence[str]) -> pl.DataFrame:
    """Every combination of the values."""
    return pl.DataFrame(list(product(*columns.values())), schema=list(columns), orient="row")


def _invented(
    table: str, random: np.random.Generator, given: pl.DataFrame, **constants: str | float | bool
) -> pl.DataFrame:
    """Rows of a table with these columns and constants; of the others, numbers are from 0 to 1 and the rest is null."""
    drawn = {
        column.name: random.random(len(given))
        for column in TABLES[table].columns
        if column.type == FLOAT and column.name not in given.columns
    }
    schema = frame(table, []).schema
    return pl.DataFrame(dict.fromkeys(schema) | drawn | constants | given.to_dict(), schema=schema)
