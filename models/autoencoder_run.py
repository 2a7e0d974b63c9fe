"""A run that trains all autoencoders, from photographs alone: their losses, and how they are judged.

What every run has is in `run`; the networks are in `autoencoders`, the views they learn from in `view_batches`; the
loop, and the files a run leaves, in `train`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.func import functional_call

from models.autoencoders import MAKES, Adversary, Autoencoder
from models.crops import Batch
from models.ranks import Ranks
from models.reconstruction_config import AutoencoderConfig
from models.run import Judged, Run
from models.view_batches import ViewData
from models.weights import write_atomically

_LAPLACE = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]).view(1, 1, 3, 3) / 4


class AutoencodersRun(Run[AutoencoderConfig]):
    """One run of all makes and an adversary for each; step k trains make k, round and round."""

    weights_file = "autoencoders.safetensors"

    def __init__(self, config: AutoencoderConfig, data: ViewData, digest: str, ranks: Ranks) -> None:
        self.data = data
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.autoencoders = nn.ModuleList(Autoencoder(make) for make in MAKES)
            self.adversaries = nn.ModuleList(Adversary() for _ in MAKES)
        network = nn.ModuleDict({"autoencoders": self.autoencoders, "adversaries": self.adversaries})
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(config, network, data.batches, data.photo_ids, digest, ranks)

    @property
    def patches_per_step(self) -> int:
        """Views of a step."""
        return self.config.batch

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """Absolute error, energy of fine structure, what the adversary says, and its own loss."""
        number = self.step % len(MAKES)
        autoencoder, adversary = self.autoencoders[number], self.adversaries[number]
        images = _scaled(batch)
        rebuilt = autoencoder(images, torch.Generator().manual_seed(self.config.seed + self.step))
        # The adversary as it is now, no part of what is learned: one backward pass serves both sides.
        fixed = {name: parameter.detach() for name, parameter in adversary.named_parameters()}
        fooled = functional_call(adversary, fixed, (rebuilt,))
        told = F.relu(1 - adversary(images)).mean() + F.relu(1 + adversary(rebuilt.detach())).mean()
        return {
            "absolute": 4 * (rebuilt - images).abs().mean(),
            "texture": self.config.texture * (_log_energy(rebuilt) - _log_energy(images)).abs().mean(),
            "adversarial": -self.config.adversarial * fooled.mean(),
            "adversary": told,
        }

    def judge(self) -> Judged:
        """Peak signal-to-noise ratio, in dB, of every make on held-out photographs; the score is their mean."""
        found: dict[str, float] = {}
        for make, autoencoder in zip(MAKES, self.autoencoders, strict=True):
            errors = []
            for batch in self.data.validation:
                images = _scaled(batch)
                rebuilt = autoencoder(images, torch.Generator().manual_seed(0)).clamp(-1, 1)
                errors.append(((rebuilt - images) / 2).square().mean(dim=(1, 2, 3)))
            found[make.name] = float(-10 * torch.cat(errors).log10().mean())
        return Judged(sum(found.values()) / len(found), {"psnr": found}, {"psnr": found}, {"psnr": found})

    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the autoencoders, without their adversaries."""
        content = {"provenance": dict(provenance), "metrics": dict(metrics)}
        weights = {
            f"{make.name}.{name}": tensor.contiguous()
            for make, autoencoder in zip(MAKES, self.autoencoders, strict=True)
            for name, tensor in autoencoder.state_dict().items()
        }
        write_atomically(path, save(weights, {"sdaie": json.dumps(content, sort_keys=True)}))


def load_autoencoders(path: Path) -> list[Autoencoder]:
    """The autoencoders of a file, in the order of `MAKES`, in evaluation mode."""
    weights = load_file(path)
    loaded = []
    for make in MAKES:
        autoencoder = Autoencoder(make)
        prefix = f"{make.name}."
        own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        autoencoder.load_state_dict(own)
        autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loaded.append(autoencoder.eval())
    return loaded


def _scaled(batch: Batch) -> Tensor:
    """Views as the autoencoders take them: (B, 3, H, W), values in [-1, 1]."""
    given = torch.from_numpy(batch.patches[:, 0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return given.contiguous(memory_format=torch.channels_last)


def _log_energy(images: Tensor) -> Tensor:
    """Log of the local energy of fine structure, (B, 3, h, w); the constant is half a grey level squared."""
    flat = images.flatten(0, 1)[:, None]
    fine = F.conv2d(flat, _LAPLACE)
    return (F.avg_pool2d(fine.square(), 8) + 1.6e-5).log()
