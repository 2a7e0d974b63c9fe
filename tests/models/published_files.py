"""Files in the layout of the published checkpoints, made from networks of ours."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.binary import BinaryNetwork
from models.published import STATE, PublishedBackbone, published_name
from models.residuals import srm_kernels


def published_state(network: PublishedBackbone | BinaryNetwork) -> dict[str, Tensor]:
    """The network's state under the published names, with the fixed kernels of each backbone in it."""
    state = {f"module.{published_name(key)}": tensor for key, tensor in network.state_dict().items()}
    for part in {key.split(".")[1] for key in state if ".group1_b." in key}:
        state[f"module.{part}.group1.hpf.weight"] = srm_kernels()
    return state


def write_published(path: Path, network: PublishedBackbone | BinaryNetwork) -> Path:
    """Write the network as a published file; return its path."""
    torch.save({STATE: published_state(network)}, path)
    return path
