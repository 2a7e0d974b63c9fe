"""Reading the published PyTorch checkpoints, without running what they may hold.

Here belong the two layouts, a backbone with 14 heads and a binary detector, and their translation into the project's
names. The project's own format is in `weights`. Only tensors are read (`weights_only=True`), and a file that is not
exactly such a checkpoint is refused with the reason.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
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

MOST_BYTES = 256 * 1024**2
"""The binary detector in double precision has 34 MB; whatever is far larger is something else."""
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

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


@dataclass(frozen=True)
class PublishedFile:
    """What a file holds: its network, in float32 and evaluation mode, and the SHA-256 of the bytes it came from."""

    network: PublishedBackbone | BinaryNetwork
    sha256: str


def read_published(path: Path) -> PublishedFile:
    """Read a published checkpoint: a backbone with heads, or a binary detector.

    WeightsError, in one sentence, for a file that is no such checkpoint or would run code, naming each key that is
    missing, unexpected, misshapen, not of plain floating-point numbers, not finite, or other than our kernels.
    """
    content = _content(path)
    state = _without_prefix(_state(content, path.name), path.name)
    binary = any(key.startswith("diffusionextractor_") for key in state)
    if not binary and not any(key.startswith("backbone.") for key in state):
        raise WeightsError(f"{path.name}: {STATE!r} is neither of a backbone nor of a binary detector")
    with torch.random.fork_rng(devices=[]):
        found: PublishedBackbone | BinaryNetwork = BinaryNetwork(PRESETS[PRESET]) if binary else PublishedBackbone()
    own = found.state_dict()
    ours = {published_name(key): key for key in own}
    backbones = [_PARTS[name] for name, part in found.named_children() if isinstance(part, Backbone)]
    kernels = {f"{name}.{_KERNELS}": srm_kernels() for name in backbones}
    wanted = kernels | {name: own[key] for name, key in ours.items()}
    problems = [f"missing {key}" for key in sorted(wanted.keys() - state.keys())]
    problems += [f"unexpected {key}" for key in sorted(state.keys() - wanted.keys())]
    problems += [f"{key} {fault}" for key in wanted if key in state and (fault := _fault(state[key], wanted[key]))]
    problems += [
        f"{key} are not the 30 SRM kernels"
        for key, expected in kernels.items()
        if key in state and _fault(state[key], expected) is None and _differ(state[key], expected)
    ]
    if problems:
        raise WeightsError(f"{path.name}: {'; '.join(problems)}")
    found.load_state_dict({key: state[name].float() for name, key in ours.items()})
    return PublishedFile(found.eval(), hashlib.sha256(content).hexdigest())


def _fault(tensor: Tensor, wanted: Tensor) -> str | None:
    """What is wrong with a tensor, in words; None where nothing is."""
    if tensor.shape != wanted.shape:
        return f"is {tuple(tensor.shape)}, not {tuple(wanted.shape)}"
    if tensor.dtype not in _DTYPES or tensor.layout != torch.strided or tensor.is_meta:
        return f"holds {tensor.dtype} ({tensor.layout}, {tensor.device}), not plain floating-point numbers"
    # After the conversion: a large number of double precision is infinite in float32.
    return None if tensor.float().isfinite().all() else "is not finite"


def _differ(kernels: Tensor, expected: Tensor) -> bool:
    """Whether kernels are others than expected, beyond the rounding of their own precision."""
    rounding = 4 * max(torch.finfo(kernels.dtype).eps, torch.finfo(torch.float32).eps)
    return (kernels.float() - expected).abs().max().item() > rounding


def published_name(name: str) -> str:
    """How a parameter of `PublishedBackbone` or `BinaryNetwork` is named in the published files."""
    part = next(part for part in _PARTS if name.startswith(f"{part}."))
    rest = name.removeprefix(f"{part}.")
    for pattern, replacement in _RENAMED:
        rest = re.sub(pattern, replacement, rest)
    return f"{_PARTS[part]}.{rest}".removeprefix(".")


def _content(path: Path) -> bytes:
    """The file's bytes, read once, so that what is hashed is what is loaded."""
    if path.is_dir():
        raise WeightsError(f"{path.name} is a folder: name the checkpoint file in it")
    if not path.is_file():
        raise WeightsError(f"{path.name}: no such file")
    if path.stat().st_size > MOST_BYTES:
        raise WeightsError(f"{path.name} has {path.stat().st_size >> 20} MiB; a published checkpoint has under 40")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}") from error
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content):
        raise WeightsError(f"{path.name} is a safetensors file; the published checkpoints are PyTorch files")
    return content


def _state(content: bytes, name: str) -> dict[Any, Any]:
    """The dictionary `state_net`; WeightsError where there is none."""
    no_such = f"{name}: no published checkpoint"
    try:
        with warnings.catch_warnings():
            # PyTorch warns of what it refuses to run; the error says so.
            warnings.simplefilter("ignore", UserWarning)
            whole: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(f"{no_such}: it holds more than tensors, or is no PyTorch file; nothing was run") from error
    # A damaged or hostile file may make the reader stumble in any way.
    except Exception as error:
        raise WeightsError(f"{no_such}: not a whole PyTorch file") from error
    state = whole.get(STATE) if isinstance(whole, dict) else None
    if not isinstance(state, dict) or not state:
        raise WeightsError(f"{no_such}: it has no dictionary {STATE!r}")
    return state


def _without_prefix(state: dict[Any, Any], name: str) -> dict[str, Tensor]:
    """The state by key without `module.`, which PyTorch's data parallelism puts before every key; or before none."""
    named = all(isinstance(key, str) and key.isprintable() for key in state)
    if not named or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{name}: no published checkpoint: {STATE!r} holds more than named tensors")
    prefixed = sum(key.startswith("module.") for key in state)
    if 0 < prefixed < len(state):
        raise WeightsError(f"{name}: {prefixed} of {len(state)} keys begin with `module.` instead of all or none")
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}
