"""Training: what the backbone is asked (`pretext_targets`), the trained backbone, and its untrained companion.

The network, the losses and the training program belong to `models/`; this module hands them tables and keeps what
comes back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from assets.corpus import photos, splits
from assets.crops import crops
from assets.exif import exif, only_simulated
from assets.stage import Context, Product, stage
from assets.training import curve, launched
from models.train_config import train_config
from warehouse.home import Home, UserError, digest
from warehouse.schema import CATEGORICAL_COLUMNS, RANKED_COLUMNS, TAG_ACCURACY, TAG_LOSS
from warehouse.shards import frame

TRAINED, UNTRAINED = "trained", "untrained"
"""Roles of the backbones: the one in use, trained here or imported, and its companion."""
WEIGHTS = "backbone.safetensors"


@stage(group="training", tables=["pretext_targets"], upstream=[photos, splits, exif])
def pretext_targets(context: Context) -> Product:
    """The 14 tags that the backbone learns to tell, null where a photograph does not have them."""
    tags = [column.name for column in (*CATEGORICAL_COLUMNS, *RANKED_COLUMNS)]
    targets = (
        context.store.read("photos", columns=["photo_id", "group", "use"])
        .filter(pl.col("use").str.contains("train"))
        .drop("use")
        .join(context.store.read("splits", columns=["group", "fold"]), on="group")
        .join(context.store.read("exif", columns=["photo_id", *tags]), on="photo_id", how="left")
    )
    labelled = {f"with_{tag}": len(targets) - targets[tag].null_count() for tag in tags}
    return Product({"pretext_targets": targets}, labelled)


def imported_identity(context: Context) -> str | None:
    """Identity of the imported backbone in use; None where one is trained."""
    chosen = context.registry.training.backbone
    return None if chosen == TRAINED else chosen


def _training(context: Context) -> dict[str, Any]:
    """The whole configuration, defaults too: a backbone trained by others is another backbone."""
    imported = imported_identity(context)
    if imported is not None:
        return {"imported": imported}
    training = context.registry.training
    asked = {"preset": training.preset, "steps": training.steps, "start": training.start}
    changes = {name: value for name, value in asked.items() if value is not None}
    return asdict(train_config(training.schedule, seed=training.seed, **changes))


def backbone_preset(context: Context) -> str:
    """Size of the backbone in use."""
    imported = imported_identity(context)
    if imported is None:
        return str(_training(context)["preset"])
    from models.weights import read_header

    return read_header(imported_weights(context.home, imported)).preset


def imported_weights(home: Home, identity: str) -> Path:
    """Weights of an imported backbone; UserError where the home does not have it, or it was not imported."""
    from models.weights import WeightsError, read_header

    # Compared instead of looked up: what a person types is not to lead out of the folder.
    for path in home.backbones.glob(f"*/{WEIGHTS}"):
        if path.parent.name == identity:
            break
    else:
        raise UserError(f"backbone {identity} is not in {home.path}: `sdaie backbone list` says which are")
    try:
        origin = read_header(path).origin
    except WeightsError as error:
        raise UserError(f"backbone {identity}: {error}; import its file again") from None
    if origin != "imported":
        raise UserError(f"{identity} was not imported: `sdaie backbone use {TRAINED}` uses what this home trains")
    return path


def _folders(role: str, context: Context) -> Iterator[Path]:
    for identity in context.store.read("backbones", [role], ["backbone"])["backbone"]:
        yield context.home.backbones / identity / WEIGHTS


@stage(
    group="training",
    tables=["backbones", "pretext_metrics", "training_curve"],
    upstream=[pretext_targets, crops],
    settings=_training,
    kinds=["torch", "safetensors"],
    files=lambda context: _folders(TRAINED, context),
    table_partition=TRAINED,
)
def backbone(context: Context) -> Product:
    """Train the backbone on residuals of scrambled patches to classify 7 tags and to rank 7, in its own process.

    Where an imported backbone is in use, nothing is trained.
    """
    imported = imported_identity(context)
    if imported is not None:
        row = _backbone_row(TRAINED, imported, imported_weights(context.home, imported).parent)
        empty = {table: frame(table, []) for table in ("pretext_metrics", "training_curve")}
        unknown = {"steps": None, "photographs": None, "groups": None, "simulated_only": None}
        return Product({"backbones": frame("backbones", [row | unknown]), **empty}, {"imported": imported})
    targets = context.store.read("pretext_targets")
    cut = context.store.read("crops", columns=["photo_id"]).unique()
    seen = targets.join(cut, on="photo_id", how="semi")
    trained_on, judged_on = seen.filter(pl.col("fold") < 3), seen.filter(pl.col("fold") == 3)
    if trained_on["group"].n_unique() < 2 or judged_on.is_empty():
        raise UserError(
            f"training needs photographs of at least 5 groups, so that whole groups can be held out; there are "
            f"{seen['group'].n_unique()}: register more with `sdaie corpus add`, or name a --group column"
        )
    provenance = backbone.provenance(context)
    identity = digest(provenance)
    folder = context.home.backbones / identity
    job = {
        "config": _training(context),
        "crop_shards": [str(path) for path in context.store.paths("crops")],
        "targets": str(context.store.paths("pretext_targets")[0]),
        "out": str(folder),
        "provenance": provenance,
    }
    metrics = launched(context, job)
    row = {
        **_backbone_row(TRAINED, identity, folder),
        "steps": metrics["best_step"],
        "photographs": len(trained_on),
        "groups": trained_on["group"].n_unique(),
        "simulated_only": only_simulated(context, trained_on),
    }
    validation = frame("pretext_metrics", [_tag_row(identity, tag, m) for tag, m in metrics["validation"].items()])
    return Product(
        {
            "backbones": frame("backbones", [row]),
            "pretext_metrics": validation,
            "training_curve": frame("training_curve", list(_curve_rows(identity, metrics))),
        },
        {"steps": metrics["steps"], "kept_step": metrics["best_step"], "validation_gain": round(metrics["score"], 4)}
        | {f"validation_{m['tag']}": round(m["value"], 4) for m in validation.to_dicts() if m["value"] is not None},
        pictures={
            "loss_curve": curve("loss", metrics["curve"], "loss"),
            "validation_curve": curve("validation gain over knowing nothing", metrics["validations"], "score"),
        },
    )


@stage(
    group="training",
    tables=["backbones"],
    settings=lambda context: {"preset": backbone_preset(context), "seed": context.registry.training.seed},
    kinds=["torch", "safetensors"],
    files=lambda context: _folders(UNTRAINED, context),
    table_partition=UNTRAINED,
)
def untrained_backbone(context: Context) -> Product:
    """The network of the backbone in use with random weights: what it scores is what the pretext task has to beat."""
    from models.weights import save_untrained

    identity = digest(["untrained", untrained_backbone.provenance(context)])
    folder = context.home.backbones / identity
    save_untrained(folder / WEIGHTS, backbone_preset(context), context.registry.training.seed)
    row = {"steps": 0, "photographs": 0, "groups": 0, "simulated_only": False}
    return Product({"backbones": frame("backbones", [row | _backbone_row(UNTRAINED, identity, folder)])})


def _backbone_row(role: str, identity: str, folder: Path) -> dict[str, Any]:
    from models.weights import load_backbone

    loaded = load_backbone(folder / WEIGHTS)
    return {
        "role": role,
        "origin": loaded.header.origin,
        "backbone": identity,
        "preset": loaded.header.preset,
        "parameters": sum(p.numel() for p in loaded.backbone.parameters() if p.requires_grad),
        "feature_dimension": loaded.header.config.dimension,
    }


def _tag_row(identity: str, tag: str, validation: dict[str, Any]) -> dict[str, Any]:
    low, high = validation.get("interval") or (None, None)
    within_low, within_high = validation.get("within_group_interval") or (None, None)
    return {
        "backbone": identity,
        "tag": tag,
        "kind": validation["kind"],
        "labelled": validation["labelled"],
        "groups": validation["groups"],
        "value": validation["accuracy"],
        "value_low": low,
        "value_high": high,
        "baseline": validation.get("baseline"),
        "tie_rate": validation.get("tie_rate"),
        "within_groups": validation.get("within_group_accuracy"),
        "within_low": within_low,
        "within_high": within_high,
        "within_pairs": validation.get("within_group_pairs"),
    }


def _curve_rows(identity: str, metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    def row(series: str, step: int, value: float) -> dict[str, Any]:
        return {"backbone": identity, "series": series, "step": step, "value": value}

    for point in metrics["curve"]:
        yield row("loss", point["step"], point["loss"])
        for tag, value in point["losses"].items():
            yield row(f"{TAG_LOSS}{tag}", point["step"], value)
    for point in metrics["validations"]:
        yield row("validation gain", point["step"], point["score"])
        for tag, values in point["tags"].items():
            if values["accuracy"] is not None:
                yield row(f"{TAG_ACCURACY}{tag}", point["step"], values["accuracy"])
