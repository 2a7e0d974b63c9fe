"""Saving and loading backbones with their heads, and binary detectors, safely.

Here belongs the project's own file format, safetensors with a JSON header: no code runs on loading. Training
checkpoints are in `checkpoints`, the published PyTorch files in `published`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.backbone import PRESETS, Backbone, BackboneConfig, random_backbone
from models.binary import BinaryNetwork
from models.pretext import CATEGORICAL, PretextHeads, Vocabulary

FORMAT_VERSION = 2

Origin = Literal["trained", "untrained", "imported"]


class WeightsError(ValueError):
    """A weights file is not what it should be; the message says what is missing, unexpected or misshapen."""


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself. Provenance and metrics are JSON objects, kept as given.

    An imported backbone has no vocabulary: the names of its heads' classes are not public. `code` is the version of
    sdaie that wrote the file.
    """

    origin: Origin
    preset: str
    config: BackboneConfig
    vocabulary: Vocabulary | None
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]
    code: str = version("sdaie")

    def to_metadata(self) -> dict[str, str]:
        """Metadata of the safetensors file: one entry, since several would be written in no fixed order."""
        content = {
            "format_version": FORMAT_VERSION,
            "origin": self.origin,
            "code": self.code,
            "preset": self.preset,
            "config": asdict(self.config),
            "vocabulary": self.vocabulary and self.vocabulary.to_json(),
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
        }
        return {"sdaie": json.dumps(content, sort_keys=True)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str] | None, name: str) -> Header:
        """Read `to_metadata`'s entry; WeightsError when it is absent or of another format version."""
        if not metadata or "sdaie" not in metadata:
            raise WeightsError(f"{name}: no header of a backbone in it")
        content = json.loads(metadata["sdaie"])
        if content.get("format_version") != FORMAT_VERSION:
            raise WeightsError(f"{name}: format {content.get('format_version')}, not {FORMAT_VERSION}")
        config = content["config"]
        return cls(
            origin=content["origin"],
            code=content["code"],
            preset=content["preset"],
            config=BackboneConfig(**(config | {"stage_depths": tuple(config["stage_depths"])})),
            vocabulary=content["vocabulary"] and Vocabulary.from_json(content["vocabulary"]),
            provenance=content["provenance"],
            metrics=content["metrics"],
        )


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone and its heads in evaluation mode, and the header of their file.

    The heads of an imported backbone are `PublishedHeads`, or None where its file had none.
    """

    backbone: Backbone
    heads: PretextHeads | PublishedHeads | None
    header: Header


class PublishedHeads(nn.Module):
    """The 14 heads of a published checkpoint, fc1 to fc14, side by side.

    Only the heads with several outputs can be named: fc2 make, fc6 model, fc7 flash, fc10 metering mode, fc11 exposure
    mode, fc12 white balance, fc14 scene capture type. Which ranked tag each of the others scores is not public.
    """

    OUTPUTS = (1, 7, 1, 1, 1, 6, 4, 1, 1, 6, 4, 2, 1, 5)

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.linear = nn.ModuleDict(
            {f"fc{number}": nn.Linear(dimension, outputs) for number, outputs in enumerate(self.OUTPUTS, start=1)}
        )

    def forward(self, features: Tensor) -> Tensor:
        """Outputs (B, 41) of image features (B, D), head after head."""
        return torch.cat([head(features) for head in self.linear.values()], dim=1)


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, flush to disk, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Load a state; WeightsError listing every missing, unexpected or misshapen key."""
    wanted = module.state_dict()
    problems = [f"missing {key}" for key in sorted(wanted.keys() - state.keys())]
    problems += [f"unexpected {key}" for key in sorted(state.keys() - wanted.keys())]
    problems += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if problems:
        raise WeightsError(f"{name}: {'; '.join(problems)}")
    module.load_state_dict(dict(state))


def save_backbone(path: Path, backbone: Backbone, heads: nn.Module | None, header: Header) -> None:
    """Write backbone and heads atomically; equal content gives equal bytes."""
    _save(path, _together(backbone, heads), header)


def save_binary(path: Path, network: BinaryNetwork, header: Header) -> None:
    """Write a binary detector's whole network as `save_backbone` writes a backbone."""
    _save(path, network, header)


def read_header(path: Path) -> Header:
    """What a file of `save_backbone` says of itself, without its weights. WeightsError when it is no such file."""
    try:
        with safe_open(path, framework="pt") as file:
            return Header.from_metadata(file.metadata(), path.name)
    except SafetensorError as error:
        raise WeightsError(f"{path.name}: not a whole safetensors file ({error})") from error


def load_backbone(path: Path) -> LoadedBackbone:
    """Read a file of `save_backbone`.

    WeightsError when it is no such file, of another format version, or when a key is missing, unexpected or
    of another shape than the header's configuration asks for.
    """
    header, state = read_header(path), _tensors(path)
    heads: PretextHeads | PublishedHeads | None = None
    with torch.random.fork_rng(devices=[]):
        backbone = Backbone(header.config)
        if header.vocabulary is not None:
            heads = PretextHeads(header.config.dimension, header.vocabulary)
        elif any(key.startswith("heads.") for key in state):
            heads = PublishedHeads(header.config.dimension)
    network = _together(backbone, heads).eval()
    load_exactly(network, state, path.name)
    return LoadedBackbone(backbone, heads, header)


def load_binary(path: Path) -> BinaryNetwork:
    """Read a file of `save_binary`, in evaluation mode. WeightsError as from `load_backbone`."""
    header = read_header(path)
    with torch.random.fork_rng(devices=[]):
        network = BinaryNetwork(header.config)
    load_exactly(network, _tensors(path), path.name)
    return network.eval()


def _save(path: Path, module: nn.Module, header: Header) -> None:
    contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    write_atomically(path, save(contiguous, metadata=header.to_metadata()))


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _together(backbone: Backbone, heads: nn.Module | None) -> nn.ModuleDict:
    return nn.ModuleDict({"backbone": backbone} | ({} if heads is None else {"heads": heads}))


def untrained(preset: str, seed: int) -> Backbone:
    """Return a backbone of a preset with random weights of a seed; ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    return random_backbone(PRESETS[preset], seed)


def save_untrained(path: Path, preset: str, seed: int) -> None:
    """Write the random weights of a seed as a backbone file; its heads have no classes. Raises as `untrained`."""
    backbone = untrained(preset, seed)
    vocabulary = Vocabulary(dict.fromkeys(CATEGORICAL, ()))
    heads = PretextHeads(backbone.config.dimension, vocabulary)
    for parameter in heads.parameters():
        nn.init.zeros_(parameter)
    save_backbone(path, backbone, heads, Header("untrained", preset, backbone.config, vocabulary, {"seed": seed}, {}))
