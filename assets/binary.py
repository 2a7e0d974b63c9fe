"""The binary detector: which images it may learn from, their crops, and the trained networks.

The network, its losses and the training program belong to `models/`; what the trained detectors say of images to the
benchmark stages. Sets with the use `train` are halved by content: what is in the part `evaluate` is never learned from.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from assets.backbone import METRICS, TRAIN_PROCESS, TRAINED, WEIGHTS, backbone, backbone_preset, imported_identity
from assets.corpus import printable
from assets.stage import Context, Product, stage
from models.binary_config import binary_config
from warehouse.benchmark_sets import Listing, list_images
from warehouse.curve_picture import curve_markdown
from warehouse.home import UserError, digest
from warehouse.registry import resolve
from warehouse.shards import Quarantined, Rows, cut_shards, frame, quarantine_frame, run_shards
from warehouse.sources import RefusedError, look, read_bytes, source_folder

TRAIN, EVALUATE = "train", "evaluate"
"""Parts of the images."""
CROPS = 2
LEAST_SIDE = 64
"""An image that has fewer px on a side holds no patch."""

BINARY, PUBLISHED = "binary", "binary_published"
"""Detectors: the one trained on all generators, and an imported one."""
NETWORK_FILE = "binary.safetensors"
LEAVE_ONE_OUT = "leave_one_generator_out"
_NAME_LENGTH = 64
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
            [name, printable(listing.uri), listing.label, listing.generator, *_stat(source_folder(source), listing)]
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
        _Unread(name, source_folder(source), listings)
        for name, source in training_sets(context).items()
        for listings in _pieces(list_images(source))
    ]
    listed = sum(len(unit.listings) for unit in unread)
    found: dict[str, list[tuple[str, Listing]]] = {}
    refused: list[Quarantined] = []
    progress = context.progress("images that may train the binary detector")
    read = 0
    for unit, identities in zip(unread, context.compute.map(identify, unread), strict=True):
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
    for listing in unit.listings:
        try:
            found.append(look(read_bytes(unit.folder, listing.uri)).sha256)
        except RefusedError as error:
            found.append(Quarantined(unit.dataset, printable(listing.uri), error.reason, error.detail))
    return found


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
    places = images.select("image_id", "dataset", "uri").rows()
    folders = {name: source_folder(source) for name, source in training_sets(context).items()}
    rows, refused = run_shards(
        context.store,
        context.compute,
        "binary_crops",
        cut_shards("binary_crops", places, lambda p: p[0], list, [context.version, CROPS, seed]),
        partial(cut_images, folders, seed),
        progress=context.progress("cut crops for the binary detector"),
        again=context.force,
    )
    return Product(
        {"binary_crops": rows},
        {"images": len(places), "quarantined": sum(shard.rows for shard in refused)},
        {"binary_crops": refused},
    )


def cut_images(
    folders: dict[str, Path], seed: int, places: tuple[tuple[str, str, str], ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `binary_crops` for some images, and those whose pixels cannot be had or are too few."""
    from models.cutting import cut_crops
    from models.images import ImageError, decode_rgb

    rows: Rows = []
    refused: list[Quarantined] = []
    for image_id, dataset, uri in places:
        try:
            image = decode_rgb(read_bytes(folders[dataset], uri))
        except ImageError as error:
            refused.append(Quarantined(dataset, uri, error.code, str(error), image_id))
            continue
        except RefusedError as error:
            refused.append(Quarantined(dataset, uri, error.reason, error.detail, image_id))
            continue
        found = cut_crops(image, CROPS, seed ^ int(image_id[:15], 16), least=LEAST_SIDE)
        if not found:
            size = f"{image.shape[1]} x {image.shape[0]} px; a patch needs {LEAST_SIDE} on each side"
            refused.append(Quarantined(dataset, uri, "too_small", size, image_id))
        rows += [{"image_id": image_id, "crop": number, "png": crop.png} for number, crop in enumerate(found)]
    return rows, refused


def _config(context: Context) -> dict[str, Any]:
    """The whole configuration, defaults too. The size is the pretext backbone's where none is named."""
    asked = context.registry.binary
    steps = {} if asked.steps is None else {"steps": asked.steps}
    preset = asked.preset or backbone_preset(context)
    return asdict(binary_config(asked.schedule, preset=preset, alpha=asked.alpha, seed=asked.seed, **steps))


def _published(context: Context) -> str | None:
    """Identity of the backbone in use where it was imported with a whole binary detector."""
    identity = imported_identity(context)
    if identity is not None and (context.home.backbones / identity / NETWORK_FILE).exists():
        return identity
    return None


@dataclass(frozen=True)
class _Plan:
    """A detector to train: its name, the generator it is not to see (SET.GENERATOR), and what it does see."""

    detector: str
    left_out: str | None
    seen: tuple[str, ...]

    @property
    def generator(self) -> str | None:
        """The generator that it is not to see, in whatever set, in lower case."""
        return None if self.left_out is None else _generator(self.left_out)


def _generator(key: str) -> str:
    return key.partition(".")[2].lower()


def _plans(context: Context) -> list[_Plan]:
    """The detectors to train, by name; none where there is nothing to learn from."""
    cropped = context.store.read("binary_crops", columns=["image_id"]).unique()
    images = context.store.read("binary_images").join(cropped, on="image_id", how="semi")
    if images.is_empty():
        return []
    generated = images.filter(pl.col("label") == 1)
    keys = sorted(
        {f"{dataset}.{generator}" for dataset, generator in generated.select("dataset", "generator").iter_rows()}
    )
    if context.registry.binary.mode != LEAVE_ONE_OUT:
        return [_Plan(BINARY, None, tuple(keys))]
    if len({_generator(key) for key in keys}) < 2:
        raise UserError(
            f"one generator cannot be left out of {len(keys)}: register sets of more generators with the use 'train', "
            'or set mode = "all_generators" in [binary]'
        )
    names = detector_names(keys)
    return [
        _Plan(names[key], key, tuple(other for other in keys if _generator(other) != _generator(key))) for key in keys
    ]


def detector_names(keys: list[str]) -> dict[str, str]:
    """Name of the detector that is not to see each SET.GENERATOR: lower case, at most 64 characters, all different."""
    plain = {key: f"{BINARY}_not_{key.replace('.', '_', 1)}".lower() for key in keys}
    often = Counter(plain.values())
    return {
        key: name if len(name) <= _NAME_LENGTH and often[name] == 1 else f"{name[: _NAME_LENGTH - 9]}_{digest(key)[:8]}"
        for key, name in plain.items()
    }


def binary_weights(context: Context) -> dict[str, Path]:
    """Weights file of every binary detector, by name."""
    rows = context.store.read("binary_networks", columns=["detector", "network"]).iter_rows()
    return {detector: _weights(context, detector, network) for detector, network in rows}


def _weights(context: Context, detector: str, network: str) -> Path:
    folder = context.home.backbones if detector == PUBLISHED else context.home.binaries
    return folder / network / NETWORK_FILE


@stage(
    group="training",
    tables=["binary_networks"],
    upstream=[binary_images, binary_crops, backbone],
    settings=lambda context: {
        "config": _config(context),
        "mode": context.registry.binary.mode,
        "published": _published(context),
    },
    kinds=["torch", "safetensors"],
    files=lambda context: binary_weights(context).values(),
)
def binary_networks(context: Context) -> Product:
    """Train the binary detector on photographs and generated images, kept near the pretext backbone; one or several.

    Without a set with the use `train` nothing is trained; an imported binary detector stands beside.
    """
    pretext = context.store.read("backbones", [TRAINED], ["backbone", "preset"]).row(0, named=True)
    plans = _plans(context)
    if plans and context.registry.binary.preset not in (None, pretext["preset"]):
        raise UserError(
            f"the binary detector is kept near the backbone in use and has its size: preset = "
            f'"{pretext["preset"]}" in [binary], or none'
        )
    # One network for a generator that several sets have under the same name.
    trained = {plan.generator: plan for plan in plans}
    networks = {generator: _trained(context, plan, pretext["backbone"]) for generator, plan in trained.items()}
    rows: Rows = []
    numbers: dict[str, int | float | str] = {}
    pictures: dict[str, str] = {}
    for plan in plans:
        identity, metrics = networks[plan.generator]
        validation = metrics["validation"]
        rows.append(
            {
                "detector": plan.detector,
                "network": identity,
                "backbone": pretext["backbone"],
                "seen": "+".join(plan.seen),
                "left_out": plan.left_out,
                "alpha": context.registry.binary.alpha,
                "steps": metrics["best_step"],
                "photographs": metrics["photographs"],
                "generated": metrics["generated"],
                "validation_accuracy": validation["accuracy"],
            }
        )
        numbers[f"validation_accuracy_{plan.detector}"] = round(validation["accuracy"], 4)
        steps, losses = zip(*((point["step"], point["loss"]) for point in metrics["curve"]), strict=True)
        pictures[f"loss_curve_{plan.detector}"] = curve_markdown("loss", list(steps), list(losses))
    if (published := _published(context)) is not None:
        # What it learned from is not in its file.
        unknown = dict.fromkeys(name for name in frame("binary_networks", []).columns)
        rows.append({**unknown, "detector": PUBLISHED, "network": published, "backbone": pretext["backbone"]})
    return Product(
        {"binary_networks": frame("binary_networks", rows)}, {"networks": len(rows), **numbers}, {}, pictures
    )


def _trained(context: Context, plan: _Plan, pretext: str) -> tuple[str, Mapping[str, Any]]:
    """Identity and metrics of a trained detector; a finished one of the same identity is taken, but for `force`."""
    provenance = {**binary_networks.provenance(context), "left_out": plan.generator}
    identity = digest(provenance)
    folder = context.home.binaries / identity
    # The metrics are written last.
    if context.force or not ((folder / METRICS).exists() and (folder / NETWORK_FILE).exists()):
        if context.launch is None:
            raise UserError("training starts a process of its own: run it through Dagster or `sdaie run`")
        context.say(f"train {plan.detector}")
        job = {
            "task": "binary",
            "config": _config(context),
            "crop_shards": [str(path) for path in context.store.paths("binary_crops")],
            "images": str(context.store.paths("binary_images")[0]),
            "pretext": str(context.home.backbones / pretext / WEIGHTS),
            "left_out": plan.generator,
            "out": str(folder),
            "provenance": provenance,
        }
        context.launch(TRAIN_PROCESS, job)
    metrics: Mapping[str, Any] = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return identity, metrics
