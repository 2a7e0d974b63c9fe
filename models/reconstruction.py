"""The network that tells photographs from their own reconstructions, and the part of the detector made of it.

Here belong the network, its file, and how its logits become scores. Its training is in `reconstruction_run`, the
reconstructions are in `pseudo_fakes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.arrays import within
from models.conditioning import UNCONDITIONED, Normaliser, choose_normaliser, fit_normaliser
from models.squares import Squares

Floats = npt.NDArray[np.float64]

FILTERS, CHANNELS = 16, (24, 48, 64, 128)

# Residuals, in grey levels, are divided by the first and cut off at the second: strong edges say nothing of the making.
_SCALE, _LIMIT = 4.0, 3.0

# Fixed forms that filters start from, each put into the middle of 5 x 5; the others start at random.
_FORMS = (
    [[-1, 1]],
    [[-1], [1]],
    [[1, -2, 1]],
    [[1], [-2], [1]],
    [[-1, 2, -1], [2, -4, 2], [-1, 2, -1]],
    [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
    [[1, -3, 3, -1]],
    [[1], [-3], [3], [-1]],
)


class ReconstructionNetwork(nn.Module):
    """Luma of squares to one logit each: higher = more of a reconstruction.

    High-pass filters, convolutions, mean and deviation of the last maps over all places, one linear layer. Any side of
    at least 32 px will do.
    """

    def __init__(self) -> None:
        super().__init__()
        filters = 0.1 * torch.randn(FILTERS, 1, 5, 5)
        for number, form in enumerate(_FORMS):
            values = torch.tensor(form, dtype=torch.float32)
            placed = torch.zeros(5, 5)
            top, left = (5 - values.shape[0]) // 2, (5 - values.shape[1]) // 2
            placed[top : top + values.shape[0], left : left + values.shape[1]] = values / values.abs().sum() * 2
            filters[number, 0] = placed
        self.filters = nn.Parameter(filters)
        stages: list[nn.Module] = []
        for number, (channels, wanted) in enumerate(zip((FILTERS, *CHANNELS), CHANNELS, strict=False)):
            stages += [nn.Conv2d(channels, wanted, 3, padding=1, bias=False), nn.BatchNorm2d(wanted), nn.ReLU()]
            if number < len(CHANNELS) - 1:
                stages.append(nn.AvgPool2d(2))
        self.stages = nn.Sequential(*stages)
        self.last = nn.Linear(2 * CHANNELS[-1], 1)

    def forward(self, luma: Tensor) -> Tensor:
        """Logits (B,) of luma (B, 1, H, W), 0 to 255."""
        # Without their mean, whatever was learned: brightness is content.
        kernels = self.filters - self.filters.mean(dim=(2, 3), keepdim=True)
        residuals = F.hardtanh(F.conv2d(luma, kernels) / _SCALE, -_LIMIT, _LIMIT)
        maps = self.stages(residuals.contiguous(memory_format=torch.channels_last))
        deviation = torch.sqrt(maps.var(dim=(2, 3), correction=0) + 1e-4)
        logits: Tensor = self.last(torch.cat([maps.mean(dim=(2, 3)), deviation], dim=1))
        return logits[:, 0]


def luma_of(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Luma (B, 1, H, W), 0 to 255, of squares (B, H, W, 3) uint8."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return torch.from_numpy(pixels.astype(np.float32) @ weights)[:, None]


def logits_of(network: ReconstructionNetwork, pixels: npt.NDArray[np.uint8], together: int = 64) -> Floats:
    """Logits (n,) of squares (n, H, W, 3) by a network in evaluation mode."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        found = [
            network(luma_of(pixels[start : start + together]).to(device)).double().cpu().numpy()
            for start in range(0, len(pixels), together)
        ]
    return np.concatenate(found) if found else np.empty(0)


@dataclass(frozen=True, eq=False)
class NetworkPart:
    """Squares are scored by networks, each logit less what photographs of such content get; their mean."""

    name: str
    networks: Sequence[ReconstructionNetwork]
    normalisers: Sequence[Normaliser]

    def scores(self, seen: Squares) -> Floats:
        """Scores (n,) of squares."""
        return self.normalised([logits_of(network, seen.pixels) for network in self.networks], seen.covariates)

    def normalised(self, logits: Sequence[Floats], covariates: Floats) -> Floats:
        """Scores (n,) of squares from the logits (n,) of each network and covariates (n, 33)."""
        by_network = [
            normaliser.apply(own, covariates) for normaliser, own in zip(self.normalisers, logits, strict=True)
        ]
        return np.asarray(np.mean(by_network, axis=0))

    def stored(self) -> tuple[Mapping[str, Any], Mapping[str, npt.NDArray[Any]]]:
        """Weights and normalisers."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for number, (network, normaliser) in enumerate(zip(self.networks, self.normalisers, strict=True)):
            weights = network.state_dict().items()
            arrays |= {f"networks.{number}.{name}": tensor.numpy() for name, tensor in weights}
            arrays |= {f"normalisers.{number}.{name}": array for name, array in normaliser.arrays().items()}
        return {"kind": "reconstruction", "name": self.name, "networks": len(self.networks)}, arrays


def network_of(arrays: Mapping[str, npt.NDArray[Any]]) -> ReconstructionNetwork:
    """The network in evaluation mode of these weights."""
    network = ReconstructionNetwork()
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    return network.eval()


def network_part_of(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> NetworkPart:
    """The part that `stored` gave."""
    numbers = range(facts["networks"])
    return NetworkPart(
        facts["name"],
        [network_of(within(arrays, f"networks.{number}.")) for number in numbers],
        [Normaliser.of_arrays(within(arrays, f"normalisers.{number}.")) for number in numbers],
    )


def fit_network_part(
    name: str,
    networks: Sequence[ReconstructionNetwork],
    logits: Sequence[Floats],
    covariates: Floats,
    groups: npt.NDArray[Any],
    seed: int = 42,
) -> NetworkPart:
    """The part of these networks, normalised on photographs whose sources none of them has seen.

    Of their squares it takes each network's logits (n,), covariates (n, 33) and groups (n,).
    """
    # One source alone cannot say which terms hold for others.
    choosable = len(np.unique(groups)) > 1
    terms = [choose_normaliser(own, covariates, groups, seed) if choosable else UNCONDITIONED for own in logits]
    normalisers = [fit_normaliser(own, covariates, chosen) for own, chosen in zip(logits, terms, strict=True)]
    return NetworkPart(name, networks, normalisers)
