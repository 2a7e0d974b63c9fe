"""The network that predicts what JPEG keeps of photographs, trained on photographs alone.

The network, its loss and the training program belong to `models/`; this module hands them crops and keeps what comes
back.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.reference_crops import reference_crops
from assets.stage import Context, Product, stage
from assets.training import crops_job, curve, trained, with_steps
from models.coding_config import CodingConfig
from warehouse.home import digest
from warehouse.shards import frame
from warehouse.store import WHOLE

FILE = "coding.safetensors"


def _config(context: Context) -> dict[str, Any]:
    asked = context.registry.coding
    return with_steps(CodingConfig(seed=asked.seed), asked.steps)


def coding_file(context: Context) -> Path:
    """The weights of the network."""
    identity: str = context.store.read("coding_networks", [WHOLE])["network"][0]
    return context.home.codings / identity / FILE


def _files(context: Context) -> Iterator[Path]:
    yield coding_file(context)


@stage(
    group="training",
    tables=["coding_networks"],
    upstream=[reference_crops],
    settings=_config,
    kinds=["torch", "safetensors"],
    files=_files,
)
def coding(context: Context) -> Product:
    """Train the network that predicts JPEG's coefficients of photographs, in a process of its own."""
    identity = digest(coding.provenance(context))
    job = crops_job(context, coding, context.home.codings / identity, "coding", _config(context))
    metrics = trained(context, FILE, "train the network that predicts coefficients", job)
    row = {"network": identity, "steps": metrics["best_step"], "nats": metrics["validation"]["nats"]}
    return Product(
        {"coding_networks": frame("coding_networks", [row])},
        {"steps": metrics["steps"], "nats": round(row["nats"], 4)},
        pictures={
            "loss_curve": curve("nats a coefficient", metrics["curve"], "loss"),
            "validation_curve": curve("minus nats, held-out sources", metrics["validations"], "score"),
        },
    )
