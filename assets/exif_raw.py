"""From photographs to what exiftool prints of them (`exif_raw`).

The guarded program is in `warehouse/exiftool.py`, several of them at once in `warehouse/exiftool_pool.py`; the rules
over what it prints are those of the stage `exif`.
"""

from functools import cache, partial

from assets.corpus import photo_places, photos
from assets.stage import Context, Product, stage
from warehouse.exiftool import ExifReader
from warehouse.exiftool_pool import read_places
from warehouse.home import canonical_json
from warehouse.places import Place, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped, with_known
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources
from warehouse.store import WHOLE

FED = 8
"""exiftool processes that one Python process keeps busy: a file costs Python a tenth of what it costs exiftool."""


@cache
def exiftool_version() -> str:
    """Version of the exiftool in use. Raises UserError where there is none, or one that is too old."""
    with ExifReader() as reader:
        return reader.version


@stage(
    group="exif",
    tables=["exif_raw"],
    upstream=[photos],
    version=2,
    settings=lambda context: exiftool_version(),
    kinds=["parquet", "exiftool"],
    eager=True,
)
def exif_raw(context: Context) -> Product:
    """Read every photograph with exiftool: all tags as JSON, but for the file system's and the private ones."""
    version = exiftool_version()
    places = photo_places(context.store.read("photos"))
    made_by = [context.version, version]
    # Made from the place too, so that a photograph that could not be had at one is asked for again at another.
    work = cut_shards("exif_raw", places, lambda place: place.sha256, list, made_by)
    earlier = earlier_shards(context.store, "exif_raw", WHOLE, "photo_id", made_by, context.force)
    compute = context.compute.wide(FED, len(work))
    sources = corpus_sources(context.home, context.registry)
    rows, refused = run_shards(
        context.store,
        compute,
        "exif_raw",
        stamped(work, made_by),
        partial(read_missing, sources, version, earlier, compute.cores_each),
        progress=context.progress("read EXIF"),
        again=context.force,
    )
    numbers = {"photographs": len(places), "quarantined": sum(shard.rows for shard in refused)}
    return Product({"exif_raw": rows}, numbers, {"exif_raw": refused})


def read_missing(
    sources: dict[str, Source], version: str, earlier: EarlierShards, processes: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_raw` for some photographs; those that were read before are not read again."""
    return with_known(earlier, places, lambda missing: read_exif(sources, version, missing, processes=processes))


def read_exif(
    sources: dict[str, Source], version: str, places: tuple[Place, ...], *, processes: int = 1
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `exif_raw` for some photographs, and those that cannot be had or that exiftool could not read.

    So many exiftool processes read at once. Raises UserError where this machine has another version of exiftool.
    """
    rows: Rows = []
    refused: list[Quarantined] = []
    for place, record in zip(places, read_places(sources, places, processes, version=version), strict=True):
        if record.tags is None:
            detail = record.error or "no answer"
            refused.append(Quarantined(place.source, place.uri, record.reason, detail, place.sha256))
            continue
        tags, warnings = canonical_json(record.tags), "\n".join(record.warnings) or None
        rows.append({"photo_id": place.sha256, "tags": tags, "warnings": warnings, "exiftool_version": version})
    return rows, refused
