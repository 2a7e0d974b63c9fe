"""From photographs to typed EXIF: what exiftool prints (`exif_raw`), and the rules over it (`exif`, `exif_issues`).

The guarded program is in `warehouse/exiftool.py`, the rules in `warehouse/exif_rules.py`; nothing is decided here.
"""

import json
from functools import cache, partial
from pathlib import Path

import polars as pl

from assets.corpus import photos
from assets.stage import Context, Product, stage
from warehouse.exif_rules import normalise
from warehouse.exiftool import ExifReader, ExifToolUnavailableError
from warehouse.home import UserError, canonical_json
from warehouse.registry import resolve
from warehouse.shards import Quarantined, Rows, cut_shards, frame, run_shards
from warehouse.sources import source_folder

Place = tuple[str, str, str]
BATCH = 100


def corpus_folders(context: Context) -> dict[str, Path]:
    """The folder that uris of each corpus resolve against."""
    corpora = context.registry.corpora.items()
    return {name: source_folder(resolve(context.home, corpus.source)) for name, corpus in corpora}


@cache
def exiftool_version() -> str:
    """Version of the exiftool in use. Raises UserError where there is none, or one that is too old."""
    try:
        with ExifReader() as reader:
            return reader.version
    except ExifToolUnavailableError as error:
        raise UserError(str(error)) from None


@stage(
    group="exif",
    tables=["exif_raw"],
    upstream=[photos],
    settings=lambda context: exiftool_version(),
    kinds=["parquet", "exiftool"],
)
def exif_raw(context: Context) -> Product:
    """Read every photograph with exiftool: all tags as JSON, but for the file system's and the private ones."""
    version = exiftool_version()
    places: list[Place] = context.store.read("photos", columns=["photo_id", "corpus", "uri"]).rows()
    work = cut_shards("exif_raw", places, lambda place: place[0], lambda place: place[0], [context.version, version])
    read = partial(read_exif, corpus_folders(context), version)
    rows, refused = run_shards(
        context.store,
        context.compute,
        "exif_raw",
        work,
        read,
        progress=context.progress("read EXIF"),
        again=context.force,
    )
    numbers = {"photographs": len(places), "quarantined": sum(shard.rows for shard in refused)}
    return Product({"exif_raw": rows}, numbers, {"exif_raw": refused})


def read_exif(folders: dict[str, Path], version: str, places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_raw` for some photographs, and those that exiftool could not read."""
    rows: Rows = []
    refused: list[Quarantined] = []
    with ExifReader() as reader:
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            records = reader.read([folders[corpus] / uri for _, corpus, uri in batch])
            for (photo_id, corpus, uri), record in zip(batch, records, strict=True):
                if record.tags is None:
                    refused.append(Quarantined(corpus, uri, "exiftool_failed", record.error or "no answer", photo_id))
                    continue
                tags, warnings = canonical_json(record.tags), "\n".join(record.warnings) or None
                rows.append({"photo_id": photo_id, "tags": tags, "warnings": warnings, "exiftool_version": version})
    return rows, refused


@stage(group="exif", tables=["exif", "exif_issues"], upstream=[exif_raw])
def exif(context: Context) -> Product:
    """Typed EXIF columns with units; every value not taken as it stood is a row of exif_issues with the reason."""
    rows: Rows = []
    issues: Rows = []
    for photo_id, tags in context.store.read("exif_raw", columns=["photo_id", "tags"]).iter_rows():
        normalised = normalise(json.loads(tags))
        rows.append({"photo_id": photo_id, **normalised.row})
        issues += [
            {"photo_id": photo_id, "tag": i.tag, "reason": i.reason, "raw_value": i.raw_value}
            for i in normalised.issues
        ]
    table = frame("exif", rows)
    numbers = {
        "issues": len(issues),
        "edited": int(table["edited"].sum()),
        "with_make": len(table) - table["make"].null_count(),
        "simulated": int(table["simulated"].sum()),
    }
    unique = frame("exif_issues", issues).unique(["photo_id", "tag", "reason"], keep="first", maintain_order=True)
    return Product({"exif": table, "exif_issues": unique}, numbers)


def simulated_ids(context: Context) -> pl.Series:
    """Photographs that the simulator rendered."""
    return context.store.read("exif", columns=["photo_id", "simulated"]).filter("simulated")["photo_id"]
