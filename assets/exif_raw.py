"""From photographs to what exiftool prints of them (`exif_raw`).

The guarded program is in `warehouse/exiftool.py`; the rules over what it prints are those of the stage `exif`.
"""

from functools import cache, partial

from assets.corpus import photo_places, photos
from assets.stage import Context, Product, stage
from warehouse.exiftool import ExifReader, ExifToolUnavailableError
from warehouse.home import UserError, canonical_json
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources

BATCH = 100


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
    places = photo_places(context.store.read("photos"))
    settings = [context.version, version]
    work = cut_shards("exif_raw", places, lambda place: place.sha256, lambda place: place.sha256, settings)
    read = partial(read_exif, corpus_sources(context.home, context.registry), version)
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


def read_exif(sources: dict[str, Source], version: str, places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_raw` for some photographs, and those that exiftool could not read."""
    rows: Rows = []
    refused: list[Quarantined] = []
    with ExifReader() as reader:
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            paths = [sources[place.source].local_path(place.uri, place.span) for place in batch]
            records = reader.read([path for path in paths if path is not None])
            for place, record in zip(batch, records, strict=True):
                if record.tags is None:
                    refused.append(
                        Quarantined(
                            place.source, place.uri, "exiftool_failed", record.error or "no answer", place.sha256
                        )
                    )
                    continue
                tags, warnings = canonical_json(record.tags), "\n".join(record.warnings) or None
                rows.append({"photo_id": place.sha256, "tags": tags, "warnings": warnings, "exiftool_version": version})
    return rows, refused
