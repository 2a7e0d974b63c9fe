"""How far what JPEG keeps of a square is from what photographs lead one to expect, coefficient by coefficient.

Here belong the network that predicts the distribution of every coefficient from those around it, and the features made
of its surprise. Its training is in `coding_run`, the coefficients are in `coefficients`. That generated images show in
the gap between what they cost to code and what the coder expected to pay is of Cozzolino et al., "Zero-shot detection
of AI-generated images" (ECCV 2024); there the coder predicts pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.coefficients import COUNT, coefficients

Floats = npt.NDArray[np.float64]

EMBEDDED, AROUND, OWN = 48, 128, 192
"""Channels of a block as its neighbours see it, of what the neighbours say, and of what the block says itself."""
FEATURES = 2 * COUNT

_REACH = 2  # blocks, on each side
# Logarithms of the scale stay between these; a scale of e^-4 knows the number.
_LOG_SCALES = (-4.0, 6.0)
# In the table of what a distribution expects: places of its mean between whole numbers, and logarithms of scales.
_MEANS, _SCALES = 21, 101
# Added to variances of surprise, in nats squared: where the network is certain there is hardly any.
_LEAST, _LEAST_MEAN = 0.05, 1e-3
_CHUNK = 16


class CodingNetwork(nn.Module):
    """Coefficients of blocks to what they were expected to be: mean and log scale of a logistic distribution of each.

    A coefficient is predicted from the blocks within two of its own on every side, and from the lower frequencies of
    its own block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(2 * COUNT, EMBEDDED, 1)
        self.around = nn.Conv2d(EMBEDDED, AROUND, 2 * _REACH + 1)
        self.mixed = nn.Conv2d(AROUND, AROUND, 1)
        self.own = nn.ModuleList([nn.Conv2d(2 * COUNT, OWN, 1), nn.Conv2d(OWN, OWN, 1), nn.Conv2d(OWN, 2 * COUNT, 1)])
        self.given = nn.ModuleList(nn.Conv2d(AROUND, width, 1) for width in (OWN, OWN, 2 * COUNT))
        for layer in (self.own[2], self.given[2]):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        # Each unit has a frequency, and sees units of lower ones, or of no higher ones once the first layer is passed.
        twice, units = torch.arange(COUNT).repeat(2), torch.arange(OWN) % COUNT
        neighbours = torch.ones(1, 1, 2 * _REACH + 1, 2 * _REACH + 1)
        neighbours[:, :, _REACH, _REACH] = 0
        masks = {"neighbours": neighbours}
        for number, (wanted, seen) in enumerate(((units, twice + 1), (units, units), (twice, units))):
            masks[f"mask_{number}"] = (wanted[:, None] >= seen[None]).float()[:, :, None, None]
        for name, mask in masks.items():
            self.register_buffer(name, mask, persistent=False)

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log scales, each (B, 64, h, w), of coefficients (B, 64, h, w)."""
        sizes = torch.log1p(blocks.abs())
        seen = torch.cat([blocks.sign() * sizes, sizes - 0.5], dim=1)
        # What is outside of the square is told by zeros.
        padded = F.pad(F.relu(self.embed(seen)), [_REACH] * 4)
        around = F.relu(F.conv2d(padded, self.around.weight * self.get_buffer("neighbours"), self.around.bias))
        around = around + F.relu(self.mixed(around))
        first = F.relu(self._masked(0, seen) + self.given[0](around))
        second = first + F.relu(self._masked(1, first) + self.given[1](around))
        found = self._masked(2, second) + self.given[2](around)
        log_scales = found[:, COUNT:].clamp(*_LOG_SCALES)
        # In its scale the mean is easier to learn.
        return found[:, :COUNT] * log_scales.exp().clamp(min=0.3), log_scales

    def _masked(self, number: int, units: Tensor) -> Tensor:
        layer, mask = self.own[number], self.get_buffer(f"mask_{number}")
        return F.conv2d(units, layer.weight * mask, layer.bias)  # type: ignore[operator, arg-type]


def nats(means: Tensor, log_scales: Tensor, blocks: Tensor) -> Tensor:
    """What each coefficient (...) costs, in nats: minus the log of its probability."""
    rests, precision = blocks - means, torch.exp(-log_scales)
    high, low = (rests + 0.5) * precision, (rests - 0.5) * precision
    # The distribution is symmetric: on the side where both are negative no digits are lost.
    turned = rests > 0
    upper, lower = torch.where(turned, -low, high), torch.where(turned, -high, low)
    log_upper = F.logsigmoid(upper)
    return -(log_upper + torch.log1p(-torch.exp((F.logsigmoid(lower) - log_upper).clamp(max=-1e-7))))


def cost(network: CodingNetwork, blocks: Tensor) -> Tensor:
    """What each of the coefficients (B, 64, h, w) costs, in nats."""
    means, log_scales = network(blocks)
    return nats(means, log_scales, blocks)


@cache
def _expected() -> tuple[Tensor, Tensor]:
    """Mean and variance, in nats, of what a coefficient costs, by place of the mean and log scale: (21 x 101,) each."""
    means = torch.linspace(-0.5, 0.5, _MEANS)[:, None]
    found = []
    for log_scale in torch.linspace(*_LOG_SCALES, _SCALES):
        reach = int(12 * torch.exp(log_scale.clamp(min=0)) + 12)
        numbers = torch.arange(-reach, reach + 1, max(1, reach // 400)).float()[None]
        costs = nats(means, log_scale, numbers.expand(_MEANS, -1))
        shares = torch.exp(-costs)
        shares = shares / shares.sum(dim=1, keepdim=True)
        mean = (shares * costs).sum(dim=1)
        found.append((mean, (shares * costs.square()).sum(dim=1) - mean.square()))
    means_of, variances = (torch.stack(each, dim=1).flatten() for each in zip(*found, strict=True))
    return means_of, variances


def _surprise(network: CodingNetwork, blocks: Tensor) -> Tensor:
    """Features (B, 128) of coefficients (B, 64, h, w)."""
    means, log_scales = network(blocks)
    low, high = _LOG_SCALES
    place = ((means - means.round() + 0.5) * (_MEANS - 1)).round().long() * _SCALES
    place += ((log_scales - low) * ((_SCALES - 1) / (high - low))).round().long()
    expected, variances = (table.to(blocks.device)[place] for table in _expected())
    excess = nats(means, log_scales, blocks) - expected
    by_place = (2, 3)
    mean = excess.mean(by_place) / torch.sqrt(variances.mean(by_place) + _LEAST_MEAN)
    return torch.cat([mean, (excess.square() / (variances + _LEAST)).mean(by_place)], dim=1)


@dataclass(frozen=True, eq=False)
class CodingFeatures:
    """What a network had not expected of squares: (n, 128)."""

    network: CodingNetwork

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, 128) of squares (n, H, W, 3) as `squares` gives them.

        For each of the 64 coefficients the mean over blocks of what it cost beyond what was expected, in deviations,
        then the mean square of the same. The rows depend on each other by rounding.
        """
        device = next(self.network.parameters()).device
        found = np.empty((len(pixels), FEATURES))
        with torch.inference_mode():
            for start in range(0, len(pixels), _CHUNK):
                part = slice(start, start + _CHUNK)
                blocks = torch.from_numpy(coefficients(pixels[part])).to(device).float()
                found[part] = _surprise(self.network, blocks).cpu().numpy()
        return found

    def stored(self) -> tuple[Mapping[str, Any], Mapping[str, npt.NDArray[Any]]]:
        """The network's weights."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}
        return {"kind": "coding"}, weights


def coding_features_of(arrays: Mapping[str, npt.NDArray[Any]]) -> CodingFeatures:
    """The features that `stored` gave."""
    network = CodingNetwork()
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    return CodingFeatures(network.eval())


def load_coding(path: Path) -> CodingNetwork:
    """The network of a file, in evaluation mode."""
    network = CodingNetwork()
    network.load_state_dict(load_file(path))
    return network.eval()
