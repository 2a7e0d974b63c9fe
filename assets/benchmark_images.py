"""The images of the benchmark sets, by content. One partition a set and generator.

Layouts belong to `warehouse/benchmark_sets.py`; what becomes of the images, to `benchmark_features.py` and those after.
"""

from pathlib import Path
from typing import Any

from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import Listing, list_images
from warehouse.exif_rules import SIMULATOR
from warehouse.file_facts import looking
from warehouse.places import RefusedError, printable
from warehouse.registry import resolve
from warehouse.shards import Quarantined, frame, quarantine_frame, quarantine_partition
from warehouse.source_folder import read_bytes


def set_and_generator(context: Context) -> tuple[str, str]:
    """Benchmark set and generator of the partition."""
    dataset, _, generator = context.partition.partition(".")
    return dataset, generator


def set_source(context: Context) -> Path:
    """Where the images of the partition's set are."""
    return resolve(context.home, context.registry.datasets[set_and_generator(context)[0]].source)


def folder_of(source: Path) -> Path:
    """The folder that uris of a set resolve against."""
    return source if source.is_dir() else source.parent


def set_folder(context: Context) -> Path:
    """The folder of the partition's set."""
    return folder_of(set_source(context))


def _listings(context: Context) -> list[Listing]:
    generator = set_and_generator(context)[1]
    return [listing for listing in list_images(set_source(context)) if listing.generator == generator]


def _images_settings(context: Context) -> object:
    folder = set_folder(context)
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
    dataset, _ = set_and_generator(context)
    folder = set_folder(context)
    found: dict[str, dict[str, Any]] = {}
    refused: list[Quarantined] = []
    listings = _listings(context)
    with looking() as look:
        for listing in listings:
            try:
                if printable(listing.uri) != listing.uri:
                    raise RefusedError("name_not_utf8", "the file's name is not valid UTF-8")
                facts = look(read_bytes(folder, listing.uri))
                if facts.width is None:
                    raise RefusedError("pixels_not_decoded", f"the pixels of {facts.format} files are not read")
            except RefusedError as error:
                refused.append(Quarantined(dataset, printable(listing.uri), error.reason, error.detail))
                continue
            first = found.get(facts.sha256)
            if first is None:
                found[facts.sha256] = _image_row(dataset, listing) | {
                    "image_id": facts.sha256,
                    "format": facts.format,
                    "width": facts.width,
                    "height": facts.height,
                    "size_bytes": facts.size,
                    "jpeg_quality": facts.jpeg_quality,
                    "chroma_subsampling": facts.chroma_subsampling,
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
