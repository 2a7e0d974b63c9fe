"""Small autoencoders of many makes: what they rebuild carries the traces of how generators enlarge.

Here belong the networks and the list of makes. How they are trained is in `autoencoder_run`, what their reconstructions
are used for in `pseudo_fakes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MULTIPLE = 8
"""Sides of what is given are multiples of this: the largest factor."""

# What is kept of a position is squashed to this range and disturbed, so that it holds some bits and not all.
_RANGE, _NOISE = 3.0, 0.05


@dataclass(frozen=True)
class Make:
    """How an autoencoder is made: of each `factor` x `factor` pixels it keeps `latent` numbers and the mean colour.

    It enlarges by `up`.

    `width` channels at full resolution, doubled with each halving, at most 64; `plain` has leaky rectifiers and no
    normalisation, else group normalisation and SiLU. `noise` is the deviation, of values in [-1, 1], of noise that it
    learns to take off: with factor 2 and a path around the bottleneck it is a denoiser.
    """

    name: str
    factor: int
    up: Literal["nearest", "bilinear", "transposed", "shuffle"]
    latent: int
    width: int = 16
    plain: bool = False
    noise: float = 0.0


MAKES = (
    Make("nearest8", 8, "nearest", 16),
    Make("nearest4", 4, "nearest", 8),
    Make("transposed4", 4, "transposed", 8, plain=True),
    Make("transposed2", 2, "transposed", 6, plain=True),
    Make("shuffle4", 4, "shuffle", 12),
    Make("bilinear8", 8, "bilinear", 24, plain=True),
    Make("denoiser", 2, "nearest", 32, noise=0.15),
    Make("transposed8", 8, "transposed", 16),
    Make("bilinear4", 4, "bilinear", 8),
)
"""Those trained; factors and enlargements as in published latent diffusion, adversarial and denoising generators."""
HELD_OUT = ("transposed8", "bilinear4")
"""Makes whose reconstructions are never learned from: they judge what is learned."""


def _around(channels: int, plain: bool) -> list[nn.Module]:
    return [nn.LeakyReLU(0.2)] if plain else [nn.GroupNorm(4, channels), nn.SiLU()]


class Residual(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, channels: int, plain: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_around(channels, plain),
            nn.Conv2d(channels, channels, 3, padding=1),
            *_around(channels, plain),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        update: Tensor = self.layers(maps)
        return maps + update


class Upsampling(nn.Module):
    """Twice the side: from `channels` to `wanted` channels."""

    def __init__(self, make: Make, channels: int, wanted: int) -> None:
        super().__init__()
        self.up = make.up
        if make.up == "transposed":
            self.layer: nn.Module = nn.ConvTranspose2d(channels, wanted, 4, stride=2, padding=1)
        elif make.up == "shuffle":
            self.layer = nn.Sequential(nn.Conv2d(channels, 4 * wanted, 3, padding=1), nn.PixelShuffle(2))
        else:
            self.layer = nn.Conv2d(channels, wanted, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, wanted, 2H, 2W)."""
        if self.up == "nearest":
            maps = F.interpolate(maps, scale_factor=2.0, mode="nearest")
        elif self.up == "bilinear":
            maps = F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
        enlarged: Tensor = self.layer(maps)
        return enlarged


class Autoencoder(nn.Module):
    """An autoencoder of a make."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.make = make
        halvings = make.factor.bit_length() - 1
        widths = [min(64, make.width << level) for level in range(halvings + 1)]
        down: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(make.latent, widths[-1], 3, padding=1), Residual(widths[-1], make.plain)]
        for level in range(halvings):
            down += [*_around(widths[level], make.plain), nn.Conv2d(widths[level], widths[level + 1], 4, 2, 1)]
            high, low = widths[halvings - level], widths[halvings - level - 1]
            up += [Upsampling(make, high, low), *_around(low, make.plain), nn.Conv2d(low, low, 3, padding=1)]
        down += [Residual(widths[-1], make.plain), nn.Conv2d(widths[-1], make.latent, 1)]
        up += [*_around(widths[0], make.plain), nn.Conv2d(widths[0], 3, 3, padding=1)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rebuild images (B, 3, H, W), values in [-1, 1], sides multiples of 8; `generator` draws the noise."""
        if self.make.noise:
            images = images + self.make.noise * _normal(images, generator)
        codes = _RANGE * torch.tanh(self.encoder(images) / _RANGE)
        codes = codes + _NOISE * _normal(codes, generator)
        detail: Tensor = self.decoder(codes)
        # A denoiser says what is to be taken off. An autoencoder keeps the mean colour of each position beside its
        # code, so that it need not learn to copy colours before it learns to make detail.
        return detail + (images if self.make.noise else self._coarse(images))

    def _coarse(self, images: Tensor) -> Tensor:
        """Mean colours of the positions, enlarged smoothly: the makes differ in what they add."""
        factor = self.make.factor
        coarse = F.avg_pool2d(images, factor)
        return F.interpolate(coarse, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


class Adversary(nn.Module):
    """Tells rebuilt images from photographs, place by place, so that autoencoders learn to make texture."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, 1, H/4, W/4) of images (B, 3, H, W): higher = more of a photograph."""
        scores: Tensor = self.layers(images)
        return scores
