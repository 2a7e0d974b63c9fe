"""The trained binary detectors: which there are to be, their training, and where their weights are.

The network, its losses and the training program belong to `models/`, the images to `binary_images.py`, what the trained
detectors say of images to the benchmark stages.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assets.backbone import TRAINED, WEIGHTS, backbone, backbone_preset, imported_identity
from assets.binary_images import binary_crops, binary_images
from assets.stage import Context, Product, stage
from assets.training import curve, trained
from models.binary_config import binary_config
from warehouse.home import UserError, digest
from warehouse.shards import Rows, frame

BINARY, PUBLISHED = "binary", "binary_published"
"""Detectors: the one trained on all generators, and an imported one."""
NETWORK_FILE = "binary.safetensors"
LEAVE_ONE_OUT = "leave_one_generator_out"
_NAME_LENGTH = 64


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
        return None if self.left_out is None else generator_name(self.left_out)


def generator_name(key: str) -> str:
    """The generator of a partition `SET.GENERATOR`, in lower case: it is the same one in another set."""
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
    if len({generator_name(key) for key in keys}) < 2:
        raise UserError(
            f"one generator cannot be left out of {len(keys)}: register sets of more generators with the use 'train', "
            'or set mode = "all_generators" in [binary]'
        )
    names = detector_names(keys)
    return [
        _Plan(names[key], key, tuple(other for other in keys if generator_name(other) != generator_name(key)))
        for key in keys
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
        pictures[f"loss_curve_{plan.detector}"] = curve("loss", metrics["curve"], "loss")
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
    job = {
        "task": "binary",
        "config": _config(context),
        "crop_shards": [str(path) for path in context.store.paths("binary_crops")],
        "images": str(context.store.paths("binary_images")[0]),
        "pretext": str(context.home.backbones / pretext / WEIGHTS),
        "left_out": plan.generator,
        "out": str(context.home.binaries / identity),
        "provenance": provenance,
    }
    return identity, trained(context, NETWORK_FILE, f"train {plan.detector}", job)
