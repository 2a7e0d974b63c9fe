"""Autoencoders, and the networks that tell photographs from their own reconstructions: trained on photographs alone.

The networks, their losses and the training program belong to `models/`; this module hands them crops and keeps what
comes back.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from assets.reference_crops import reference_crops
from assets.stage import Context, Product, stage
from assets.training import crops_job, curve, trained, with_steps
from models.reconstruction_config import AutoencoderConfig, ReconstructionConfig
from warehouse.home import digest
from warehouse.shards import Rows, frame
from warehouse.store import WHOLE

AUTOENCODERS_FILE, NETWORK_FILE = "autoencoders.safetensors", "reconstruction.safetensors"


def _autoencoder_config(context: Context) -> dict[str, Any]:
    asked = context.registry.reconstruction
    return with_steps(AutoencoderConfig(seed=asked.seed), asked.autoencoder_steps)


def _network_config(context: Context, number: int) -> dict[str, Any]:
    asked = context.registry.reconstruction
    return with_steps(ReconstructionConfig(seed=asked.seed + number), asked.steps)


def autoencoders_file(context: Context) -> Path:
    """The weights of the autoencoders."""
    identity: str = context.store.read("autoencoders", [WHOLE], ["autoencoders"])["autoencoders"][0]
    return context.home.autoencoders / identity / AUTOENCODERS_FILE


def _autoencoder_files(context: Context) -> Iterator[Path]:
    yield autoencoders_file(context)


@stage(
    group="training",
    tables=["autoencoders"],
    upstream=[reference_crops],
    settings=_autoencoder_config,
    kinds=["torch", "safetensors"],
    files=_autoencoder_files,
)
def autoencoders(context: Context) -> Product:
    """Train small autoencoders of nine makes on views of the reference photographs, in a process of their own."""
    from models.autoencoders import HELD_OUT, MAKES, Autoencoder

    identity = digest(autoencoders.provenance(context))
    folder = context.home.autoencoders / identity
    job = crops_job(context, autoencoders, folder, "autoencoders", _autoencoder_config(context))
    metrics = trained(context, AUTOENCODERS_FILE, "train autoencoders", job)
    psnr = metrics["validation"]["psnr"]
    rows = [
        {
            "make": make.name,
            "autoencoders": identity,
            "held_out": make.name in HELD_OUT,
            "factor": make.factor,
            "latent": make.latent,
            "parameters": sum(parameter.numel() for parameter in Autoencoder(make).parameters()),
            "psnr": psnr[make.name],
        }
        for make in MAKES
    ]
    numbers = {f"psnr_{make}": round(value, 2) for make, value in psnr.items()}
    return Product(
        {"autoencoders": frame("autoencoders", rows)},
        {"steps": metrics["steps"], **numbers},
        pictures={
            "loss_curve": curve("loss", metrics["curve"], "loss"),
            "psnr_curve": curve("mean psnr, dB", metrics["validations"], "score"),
        },
    )


def network_files(context: Context) -> Iterator[Path]:
    """Weights of the networks, in the order of their seeds."""
    for identity in context.store.read("reconstruction_networks", [WHOLE]).sort("seed")["network"]:
        yield context.home.reconstructions / identity / NETWORK_FILE


@stage(
    group="training",
    tables=["reconstruction_networks", "reconstruction_metrics"],
    upstream=[reference_crops, autoencoders],
    settings=lambda context: [_network_config(context, n) for n in range(context.registry.reconstruction.networks)],
    kinds=["torch", "safetensors"],
    files=network_files,
)
def reconstruction(context: Context) -> Product:
    """Train networks to tell views of photographs from their own reconstructions; held-out makes judge them."""
    from models.autoencoders import HELD_OUT

    made_by = {"autoencoders": str(autoencoders_file(context))}
    rows: Rows = []
    judged: Rows = []
    numbers: dict[str, int | float | str] = {}
    pictures: dict[str, str] = {}
    for number in range(context.registry.reconstruction.networks):
        config = _network_config(context, number)
        identity = digest([reconstruction.provenance(context)["inputs"], config])
        folder = context.home.reconstructions / identity
        job = crops_job(context, reconstruction, folder, "reconstruction", config) | made_by
        said = f"train network {number + 1} of {context.registry.reconstruction.networks}"
        metrics = trained(context, NETWORK_FILE, said, job)
        table = metrics["validation"]
        rows.append(
            {"network": identity, "seed": config["seed"], "steps": metrics["best_step"], "score": metrics["score"]}
        )
        judged += [
            {
                "network": identity,
                "make": make,
                "held_out": make in HELD_OUT,
                "photographs": table["photographs"],
                "auroc": auroc,
                "within_pairs": table["within_pairs"][make],
            }
            for make, auroc in table["auroc"].items()
        ]
        numbers |= {f"auroc_{make}_{number}": round(auroc, 4) for make, auroc in table["auroc"].items()}
        pictures[f"loss_curve_{number}"] = curve("loss", metrics["curve"], "loss")
        pictures[f"auroc_curve_{number}"] = curve("AUROC on held-out makes", metrics["validations"], "score")
    tables: dict[str, pl.DataFrame] = {
        "reconstruction_networks": frame("reconstruction_networks", rows),
        "reconstruction_metrics": frame("reconstruction_metrics", judged),
    }
    return Product(tables, numbers, pictures=pictures)
