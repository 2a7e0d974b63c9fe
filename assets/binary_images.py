"""The images that the binary detector may learn from, and their crops.

Sets with the use `train` are halved by content: what is in the part `evaluate` is never learned from. How crops are cut
belongs to `models/cutting.py`, what is learned from them to `binary.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from assets.benchmark_images import folder_of
from assets.decoding import decoding
from assets.stage import Context, Product, stage
from warehouse.benchmark_sets import Listing, list_images
from warehouse.compute import Failed, in_order
from warehouse.file_facts import looking
from warehouse.home import digest
from warehouse.places import Place, RefusedError, printable
from warehouse.registry import resolve
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_frame, run_shards
from warehouse.source_folder import read_bytes

TRAIN, EVALUATE = "train", "evaluate"
"""Parts of the images."""
CROPS = 2
LEAST_SIDE = 64
"""An image that has fewer px on a side holds no patch."""
_LISTINGS_AT_ONCE = 256


@dataclass(frozen=True)
class _Unread:
    """Some files of a set."""

    dataset: str
    folder: Path
    listings: tuple[Listing, ...]


def training_sets(context: Context) -> dict[str, Path]:
    """Source of each set with the use `train`, in the order of registration."""
    return {
        name: resolve(context.home, dataset.source)
        for name, dataset in context.registry.datasets.items()
        if TRAIN in dataset.use
    }


def _listing_digest(context: Context) -> object:
    return digest(
        [
            [name, printable(listing.uri), listing.label, listing.generator, *_stat(folder_of(source), listing)]
            for name, source in training_sets(context).items()
            for listing in list_images(source)
        ]
    )


def _stat(folder: Path, listing: Listing) -> tuple[int | None, int | None]:
    try:
        status = (folder / listing.uri).stat()
    except (OSError, ValueError):
        return None, None
    return status.st_size, status.st_mtime_ns


@stage(group="training", tables=["binary_images"], external=["benchmark_sets"], settings=_listing_digest)
def binary_images(context: Context) -> Product:
    """The images of all sets with the use `train` by content; one bit of the content says train or evaluate."""
    unread = [
        _Unread(name, folder_of(source), listings)
        for name, source in training_sets(context).items()
        for listings in _pieces(list_images(source))
    ]
    listed = sum(len(unit.listings) for unit in unread)
    found: dict[str, list[tuple[str, Listing]]] = {}
    refused: list[Quarantined] = []
    progress = context.progress("images that may train the binary detector")
    read = 0
    for unit, outcome in zip(unread, in_order(context.compute.map(identify, unread)), strict=True):
        identities = _unidentified(unit, outcome) if isinstance(outcome, Failed) else outcome
        for listing, identity in zip(unit.listings, identities, strict=True):
            if isinstance(identity, str):
                found.setdefault(identity, []).append((unit.dataset, listing))
            else:
                refused.append(identity)
        read += len(unit.listings)
        progress(read, listed)
    rows: Rows = []
    for sha256, named in found.items():
        if len({(listing.label, listing.generator.lower()) for _, listing in named}) > 1:
            # Whichever was right: a detector that was not to see one of the generators would have seen it.
            refused += [_refused(sha256, place, "contradictory", _claims(named)) for place in named]
            continue
        (dataset, listing), *others = named
        uri = printable(listing.uri)
        rows.append(
            {
                "image_id": sha256,
                "dataset": dataset,
                "uri": uri,
                "generator": listing.generator,
                "label": listing.label,
                "part": part_of(sha256),
            }
        )
        refused += [_refused(sha256, place, "same_content", f"the same bytes as {dataset}/{uri}") for place in others]
    images = frame("binary_images", rows)
    return Product(
        {"binary_images": images},
        {"listed": listed, "images": len(images), "train": _count(images), "quarantined": len(refused)},
        {"binary_images": quarantine_frame("binary_images", refused)},
    )


def _pieces(listings: list[Listing]) -> Iterator[tuple[Listing, ...]]:
    for start in range(0, len(listings), _LISTINGS_AT_ONCE):
        yield tuple(listings[start : start + _LISTINGS_AT_ONCE])


def identify(unit: _Unread) -> list[str | Quarantined]:
    """SHA-256 of each file, or why it cannot be used."""
    found: list[str | Quarantined] = []
    with looking() as look:
        for listing in unit.listings:
            try:
                found.append(look(read_bytes(unit.folder, listing.uri)).sha256)
            except RefusedError as error:
                found.append(Quarantined(unit.dataset, printable(listing.uri), error.reason, error.detail))
    return found


def _unidentified(unit: _Unread, failed: Failed) -> list[str | Quarantined]:
    return [Quarantined(unit.dataset, printable(each.uri), failed.reason, failed.detail) for each in unit.listings]


def part_of(sha256: str) -> str:
    """The part of an image: the last bit of its SHA-256."""
    return EVALUATE if int(sha256[-1], 16) % 2 else TRAIN


def _claims(named: list[tuple[str, Listing]]) -> str:
    claims = {"photograph" if listing.label == 0 else f"of {listing.generator}" for _, listing in named}
    return f"the same bytes are named {' and '.join(sorted(claims))}"


def _refused(sha256: str, place: tuple[str, Listing], reason: str, detail: str) -> Quarantined:
    dataset, listing = place
    return Quarantined(dataset, printable(listing.uri), reason, detail, sha256)


def _count(images: pl.DataFrame) -> int:
    return len(images.filter(pl.col("part") == TRAIN))


@stage(
    group="training",
    tables=["binary_crops"],
    upstream=[binary_images],
    settings=lambda context: {"crops": CROPS, "seed": context.registry.binary.seed},
    kinds=["parquet", "pillow"],
)
def binary_crops(context: Context) -> Product:
    """Cut crops of at most 256 x 256 stored pixels from the images of the part `train`."""
    seed = context.registry.binary.seed
    images = context.store.read("binary_images").filter(pl.col("part") == TRAIN)
    places = [Place(*row) for row in images.select("image_id", "dataset", "uri").iter_rows()]
    folders = {name: folder_of(source) for name, source in training_sets(context).items()}
    rows, refused = run_shards(
        context.store,
        context.compute,
        "binary_crops",
        cut_shards("binary_crops", places, lambda p: p.sha256, lambda p: p[:3], [context.version, CROPS, seed]),
        partial(cut_images, folders, seed),
        progress=context.progress("cut crops for the binary detector"),
        again=context.force,
    )
    return Product(
        {"binary_crops": rows},
        {"images": len(places), "quarantined": sum(shard.rows for shard in refused)},
        {"binary_crops": refused},
    )


def cut_images(folders: dict[str, Path], seed: int, places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    """Rows of `binary_crops` for some images, and those whose pixels cannot be had or are too few."""
    from models.cutting import cut_crops

    rows: Rows = []
    refused: list[Quarantined] = []
    with decoding() as decode:
        for image_id, dataset, uri, *_ in places:
            try:
                image = decode(read_bytes(folders[dataset], uri))
            except RefusedError as error:
                refused.append(Quarantined(dataset, uri, error.reason, error.detail, image_id))
                continue
            found = cut_crops(image, CROPS, seed ^ int(image_id[:15], 16), least=LEAST_SIDE)
            if not found:
                size = f"{image.shape[1]} x {image.shape[0]} px; a patch needs {LEAST_SIDE} on each side"
                refused.append(Quarantined(dataset, uri, "too_small", size, image_id))
            rows += [{"image_id": image_id, "crop": number, "png": crop.png} for number, crop in enumerate(found)]
    return rows, refused
