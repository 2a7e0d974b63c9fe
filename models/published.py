"""Reading the published PyTorch checkpoints, without running what they may hold.

Here belong the two layouts, a backbone with 14 heads and a binary detector, and their translation into the project's
names. The project's own format is in `weights`. Only tensors are read (`weights_only=True`), and a file that is not
exactly such a checkpoint is refused with the reason.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from models.backbone import PRESETS, Backbone
from models.binary import BinaryNetwork
from models.residuals import srm_kernels
from models.weights import PublishedHeads, WeightsError

PRESET = "full"
STATE = "state_net"

_HALF_PRECISION = 4e-3
"""How far half precision may move a kernel's value."""

_KERNELS = "group1.hpf.weight"
_RENAMED = [
    (r"^stem\.conv\.", "group1_b.0."),
    (r"^stem_norm\.", "group1_b.1."),
    *((rf"^stages\.{stage}\.", f"group{stage + 2}.") for stage in range(4)),
    (r"^transformer\.(\d+)\.attention\.norm\.", r"transformer.layers.\1.0.norm."),
    (r"^transformer\.(\d+)\.attention\.qkv\.", r"transformer.layers.\1.0.fn.to_qkv."),
    (r"^transformer\.(\d+)\.attention\.out\.", r"transformer.layers.\1.0.fn.to_out.0."),
    (r"^transformer\.(\d+)\.mlp\.0\.", r"transformer.layers.\1.1.norm."),
    (r"^transformer\.(\d+)\.mlp\.1\.", r"transformer.layers.\1.1.fn.net.0."),
    (r"^transformer\.(\d+)\.mlp\.3\.", r"transformer.layers.\1.1.fn.net.3."),
]
"""Names below a backbone: ours, and how they are published."""
_PARTS = {
    "backbone": "backbone",
    "heads.linear": "",
    "pretext": "diffusionextractor_pretrained",
    "own": "diffusionextractor_random",
    "classifier": "fc",
}
"""Parts of the networks: ours, and how they are published."""


class PublishedBackbone(nn.Module):
    """A published backbone and its 14 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(PRESETS[PRESET])
        self.heads = PublishedHeads(PRESETS[PRESET].dimension)


def read_published(path: Path) -> PublishedBackbone | BinaryNetwork:
    """The network of a published file, in evaluation mode: a backbone with heads, or a binary detector.

    WeightsError for a file that is no such checkpoint or would run code, naming each key that is missing, unexpected,
    misshapen, not of floating-point numbers or not finite.
    """
    state = _state(path)
    # Keys begin with `module.`, which PyTorch's data parallelism adds; a file saved without it is as good.
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    binary = any(key.startswith("diffusionextractor_") for key in state)
    with torch.random.fork_rng(devices=[]):
        found: PublishedBackbone | BinaryNetwork = BinaryNetwork(PRESETS[PRESET]) if binary else PublishedBackbone()
    ours = {published_name(key): key for key in found.state_dict()}
    backbones = [_PARTS[name] for name, part in found.named_children() if isinstance(part, Backbone)]
    kernels = {f"{name}.{_KERNELS}" for name in backbones}
    problems = [f"missing {key}" for key in sorted((ours.keys() | kernels) - state.keys())]
    problems += [f"unexpected {key}" for key in sorted(state.keys() - ours.keys() - kernels)]
    for key, tensor in state.items():
        wanted = srm_kernels() if key in kernels else found.state_dict().get(ours.get(key, ""))
        if wanted is None:
            continue
        if tensor.shape != wanted.shape:
            problems.append(f"{key} is {tuple(tensor.shape)}, not {tuple(wanted.shape)}")
        elif not tensor.is_floating_point():
            problems.append(f"{key} holds {tensor.dtype}, not floating-point numbers")
        elif not tensor.isfinite().all():
            problems.append(f"{key} is not finite")
        elif key in kernels and not torch.allclose(tensor.float(), wanted, atol=_HALF_PRECISION):
            problems.append(f"{key} are not the 30 SRM kernels")
    if problems:
        raise WeightsError(f"{path.name}: {'; '.join(problems)}")
    found.load_state_dict({ours[key]: tensor.float() for key, tensor in state.items() if key in ours})
    return found.eval()


def published_name(name: str) -> str:
    """How a parameter of `PublishedBackbone` or `BinaryNetwork` is named in the published files."""
    part = next(part for part in _PARTS if name.startswith(f"{part}."))
    rest = name.removeprefix(f"{part}.")
    for pattern, replacement in _RENAMED:
        rest = re.sub(pattern, replacement, rest)
    return f"{_PARTS[part]}.{rest}".removeprefix(".")


def _state(path: Path) -> dict[str, Tensor]:
    """The dictionary of tensors in a file; WeightsError where there is none."""
    no_such = f"{path.name}: no published checkpoint"
    if not path.is_file():
        raise WeightsError(f"{path.name}: no such file")
    try:
        with warnings.catch_warnings():
            # PyTorch warns of what it refuses to run; the error says so.
            warnings.simplefilter("ignore", UserWarning)
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(f"{no_such}: it holds more than tensors, or is no PyTorch file; nothing was run") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(f"{no_such}: not a whole PyTorch file") from error
    state = content.get(STATE) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise WeightsError(f"{no_such}: it has no dictionary {STATE!r}")
    if not all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in state.items()):
        raise WeightsError(f"{no_such}: {STATE!r} holds more than named tensors")
    return dict(state)
