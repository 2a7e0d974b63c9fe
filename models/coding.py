"""How far what JPEG keeps of a square is from what photographs lead one to expect, coefficient by coefficient.

Here belong the network that predicts the distribution of every coefficient from those around it, and the features made
of its surprise. Its training is in `coding_run`, the coefficients are in `coefficients`. That what a lossless coder of
photographs had not expected tells generated images is of Cozzolino et al., "Zero-shot detection of AI-generated images"
(ECCV 2024); there the coder predicts pixels, and the surprise is a cost.
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

from models.coefficients import BLOCK, COUNT, coefficients, zigzag

Floats = npt.NDArray[np.float64]

EMBEDDED, AROUND, OWN = 48, 128, 192
"""Channels of a block as its neighbours see it, of what the neighbours say, and of what the block says itself."""
FEATURES = 4 * COUNT + 2 * BLOCK * (BLOCK - 1)

_REACH = 2  # blocks, on each side
# Logarithms of the scale stay between these; a scale of e^-4 knows the number.
_LOG_SCALES = (-4.0, 6.0)
# Deviates beyond this share of either tail are all alike; added to their mean squares: where the network is certain
# there is hardly any deviation.
_TAIL, _LEAST = 1e-4, 1e-2
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


def deviates(network: CodingNetwork, blocks: Tensor) -> Tensor:
    """Where each of the coefficients (B, 64, h, w) stands in the distribution expected of it, as a normal deviate.

    Of a whole number it is the middle of what the distribution gives it: where the network is right, these are nearly
    normal, and those of one block or frequency say nothing of the next.
    """
    means, log_scales = network(blocks)
    precision = torch.exp(-log_scales)
    below, above = (torch.sigmoid((blocks - means + side) * precision) for side in (-0.5, 0.5))
    found: Tensor = torch.special.ndtri(((below + above) / 2).clamp(_TAIL, 1 - _TAIL))
    return found


def _surprise(network: CodingNetwork, blocks: Tensor) -> Tensor:
    """Features (B, 368) of coefficients (B, 64, h, w)."""
    found = deviates(network, blocks)
    # By row and column of the frequency, 8 x 8, and of the block.
    placed = found[:, _places().to(blocks.device)].reshape(len(found), BLOCK, BLOCK, *found.shape[2:])
    by_block = (3, 4)
    square = placed.square().mean(by_block)
    least = square + _LEAST
    features = [
        (placed[..., 1:] * placed[..., :-1]).mean(by_block) / least,
        (placed[..., 1:, :] * placed[..., :-1, :]).mean(by_block) / least,
        (placed[:, 1:] * placed[:, :-1]).mean(by_block) / torch.sqrt(least[:, 1:] * least[:, :-1]),
        (placed[:, :, 1:] * placed[:, :, :-1]).mean(by_block) / torch.sqrt(least[:, :, 1:] * least[:, :, :-1]),
        placed.mean(by_block),
        square,
    ]
    return torch.cat([each.flatten(1) for each in features], dim=1)


@cache
def _places() -> Tensor:
    """Where each frequency, row by row, stands in JPEG's zigzag: (64,)."""
    return torch.from_numpy(np.argsort(zigzag()))


@dataclass(frozen=True, eq=False)
class CodingFeatures:
    """What a network had not expected of squares: (n, 368)."""

    network: CodingNetwork

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Features (n, 368) of squares (n, H, W, 3) as `squares` gives them, at least two blocks high and wide.

        Of the normal deviates of the coefficients, each by row and column of the frequency: correlation with the block
        to the right, and below (64 each), with the frequency of the next row, and of the next column (56 each); mean,
        and mean square (64 each). The rows depend on each other by rounding.
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
