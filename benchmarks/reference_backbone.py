"""The network layer by layer, as the paper writes it, from PyTorch's own layers: the judge of the product's network.

Here belongs the plain reference that the benchmark measures against and the tests compare with: 30 fixed kernels on
each colour channel, 90 maps, a convolution over them, `nn.LayerNorm` after each convolution, every layer of the
transformer over all tokens. Nothing in it is fast on purpose, and nothing is shared with `models.backbone` but the
kernels, the constants and the names of the parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbone import MEAN, PATCH, STD, STEM_LIMIT, Backbone, BackboneConfig, Taps
from models.residuals import srm_kernels

NEWTON_SCHULZ_STEPS = 5


class PlainStem(nn.Module):
    """Residual maps of each colour channel, zero padding 2, colour after colour; then the learned 3 x 3 convolution."""

    srm: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("srm", srm_kernels(), persistent=False)
        self.conv = nn.Conv2d(90, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (P, C, H, W) of normalised images (P, 3, H, W)."""
        maps = torch.cat([F.conv2d(images[:, c : c + 1], self.srm, padding=2) for c in range(3)], dim=1)
        out: Tensor = self.conv(maps)
        return out


class PlainAttention(nn.Module):
    """Pre-norm attention with the scores written out."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        inner = config.heads * config.head_dim
        self.norm = nn.LayerNorm(config.dimension)
        self.qkv = nn.Linear(config.dimension, 3 * inner, bias=False)
        self.out = nn.Linear(inner, config.dimension)

    def forward(self, tokens: Tensor) -> Tensor:
        """Update (B, N, D) of tokens (B, N, D)."""
        count, length, _ = tokens.shape
        query, key, value = (
            part.reshape(count, length, self.heads, self.head_dim).transpose(1, 2)
            for part in self.qkv(self.norm(tokens)).chunk(3, dim=2)
        )
        weights = (query @ key.transpose(2, 3) / self.head_dim**0.5).softmax(dim=3)
        update: Tensor = self.out((weights @ value).transpose(1, 2).reshape(count, length, -1))
        return update


class PlainLayer(nn.Module):
    """Attention, then the two linear layers with GELU, each added to its input."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.attention = PlainAttention(config)
        self.mlp = nn.Sequential(
            nn.LayerNorm(config.dimension),
            nn.Linear(config.dimension, config.mlp_dim),
            nn.GELU(),
            nn.Linear(config.mlp_dim, config.dimension),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, D) of tokens (B, N, D)."""
        tokens = tokens + self.attention(tokens)
        update: Tensor = self.mlp(tokens)
        return tokens + update


def _stage(config: BackboneConfig, depth: int, side: int, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [
            nn.Conv2d(config.channels, config.channels, 3, padding=1),
            nn.LayerNorm((config.channels, side, side)),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, *([nn.AvgPool2d(3, stride=2, padding=1)] if pool else []))


def root_covariance(maps: Tensor) -> Tensor:
    """Upper triangle (P, C (C + 1) / 2) of the root of the channel covariance, the centring matrix written out.

    A patch without variance, whose trace the iteration would divide by, gives zeros.
    """
    x = maps.flatten(2)
    count, channels, m = x.shape
    centring = (torch.eye(m) / m - torch.ones(m, m) / m**2).to(x)
    matrices = x @ centring @ x.transpose(1, 2)
    trace = torch.einsum("pii->p", matrices)[:, None, None]
    empty = trace <= torch.finfo(x.dtype).eps ** 2
    trace = torch.where(empty, torch.ones_like(trace), trace)
    eye = torch.eye(channels).to(x).expand(count, -1, -1)
    y, z = matrices / trace, eye
    for _ in range(NEWTON_SCHULZ_STEPS):
        step = 0.5 * (3 * eye - z @ y)
        y, z = y @ step, step @ z
    root = torch.where(empty, torch.zeros_like(y), y * trace.sqrt())
    row, column = torch.triu_indices(channels, channels).unbind()
    return root[:, row, column]


class ReferenceBackbone(nn.Module):
    """The published network; parameters bear the names of `models.backbone.Backbone`."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.stem = PlainStem(config.channels)
        self.stem_norm = nn.LayerNorm((config.channels, PATCH, PATCH))
        self.stages = nn.ModuleList(
            _stage(config, depth, PATCH >> index, pool=index < 3) for index, depth in enumerate(config.stage_depths)
        )
        self.transformer = nn.Sequential(*(PlainLayer(config) for _ in range(config.transformer_depth)))

    @classmethod
    def of(cls, backbone: Backbone) -> ReferenceBackbone:
        """The reference with the weights of a backbone, copied."""
        reference = cls(backbone.config).to(next(backbone.parameters()))
        reference.load_state_dict(backbone.state_dict())
        return reference

    def taps(self, patches: Tensor) -> Taps:
        """Stage outputs and covariance vectors of single patches (P, 3, 64, 64), values in [0, 1]."""
        maps = F.hardtanh(self.stem_norm(self.stem((patches - self.mean) / self.std)), -STEM_LIMIT, STEM_LIMIT)
        outputs = []
        for stage in self.stages:
            maps = stage(maps)
            outputs.append(maps)
        stage1, stage2, stage3, stage4 = outputs
        return Taps(stage1, stage2, stage3, stage4, root_covariance(stage4))

    def forward(self, patches: Tensor) -> Tensor:
        """Tokens (B, N, D) of patches (B, N, 3, 64, 64), values in [0, 1]."""
        vectors = self.taps(patches.flatten(0, 1)).covariance
        tokens: Tensor = self.transformer(vectors.reshape(*patches.shape[:2], -1))
        return tokens
