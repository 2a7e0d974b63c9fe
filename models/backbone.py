"""The feature extractor: from scrambled patches of an image to one vector.

Here belongs the network from the stem to the transformer, and its presets. Residual kernels are in
`residuals`, covariance pooling in `covariance`, what the features are trained on in `pretext`. Source: Zhong et
al., "Self-Supervised AI-Generated Image Detection: A Camera Metadata Perspective" (arXiv 2512.05651).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.covariance import covariance_vector
from models.residuals import ResidualStem

PATCH = 64
"""Side of a patch, in pixels."""

# CLIP's normalisation, per colour channel.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

STEM_LIMIT = 5.0


@dataclass(frozen=True)
class BackboneConfig:
    """Shape of a backbone: channels of every map, layers of stages 1-4, and the transformer."""

    channels: int
    stage_depths: tuple[int, int, int, int]
    transformer_depth: int
    heads: int
    head_dim: int
    mlp_dim: int

    @property
    def dimension(self) -> int:
        """Length of the feature: the upper triangle of a channels x channels matrix."""
        return self.channels * (self.channels + 1) // 2


PRESETS = {
    "full": BackboneConfig(32, (4, 2, 2, 2), transformer_depth=2, heads=4, head_dim=16, mlp_dim=128),
    "compact": BackboneConfig(16, (1, 1, 1, 1), transformer_depth=1, heads=4, head_dim=16, mlp_dim=128),
}
"""`full` is the published network; `compact` is the same design for two processor cores."""


class Taps(NamedTuple):
    """Outputs of stages 1-4, each (P, C, H, W) after its pool, and the covariance vectors (P, D)."""

    stage1: Tensor
    stage2: Tensor
    stage3: Tensor
    stage4: Tensor
    covariance: Tensor


class MapNorm(nn.LayerNorm):
    """LayerNorm over (C, H, W) of maps held channels last in memory, without copying them.

    Whole-network training measured half as fast again this way on two processor cores.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise maps (P, C, H, W)."""
        weight, bias = (p.permute(1, 2, 0).contiguous() for p in (self.weight, self.bias))
        normed = F.layer_norm(input.permute(0, 2, 3, 1), weight.shape, weight, bias, self.eps)
        return normed.permute(0, 3, 1, 2)


def _stage(config: BackboneConfig, depth: int, side: int, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Conv2d(config.channels, config.channels, 3, padding=1))
        layers.append(MapNorm((config.channels, side, side)))
        layers.append(nn.ReLU())
    if pool:
        layers.append(nn.AvgPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers)


class Attention(nn.Module):
    """Pre-norm self-attention over the patches of an image; no positional code, so their order is nothing."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        inner = config.heads * config.head_dim
        self.norm = nn.LayerNorm(config.dimension)
        self.qkv = nn.Linear(config.dimension, 3 * inner, bias=False)
        self.out = nn.Linear(inner, config.dimension)

    def forward(self, tokens: Tensor, asking: int | None = None) -> Tensor:
        """Return the update of tokens (B, N, D): of all, or of the first `asking`, which attend to all alike."""
        normed = self.norm(tokens)
        query_weight, other_weights = self.qkv.weight.tensor_split([self.heads * self.head_dim])
        query = self._by_head(F.linear(normed[:, :asking], query_weight))
        key, value = (self._by_head(part) for part in F.linear(normed, other_weights).chunk(2, dim=2))
        mixed = F.scaled_dot_product_attention(query, key, value)
        update: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return update

    def _by_head(self, vectors: Tensor) -> Tensor:
        """(B, N, heads x size) as (B, heads, N, size)."""
        count, length, _ = vectors.shape
        return vectors.reshape(count, length, self.heads, self.head_dim).transpose(1, 2)


class TransformerLayer(nn.Module):
    """Attention and a GELU network of two layers, each pre-normed and added to its input."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = nn.Sequential(
            nn.LayerNorm(config.dimension),
            nn.Linear(config.dimension, config.mlp_dim),
            nn.GELU(),
            nn.Linear(config.mlp_dim, config.dimension),
        )

    def forward(self, tokens: Tensor, asking: int | None = None) -> Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D), or to the first `asking` of them."""
        tokens = tokens[:, :asking] + self.attention(tokens, asking)
        update: Tensor = self.mlp(tokens)
        return tokens + update


class Backbone(nn.Module):
    """Patches of an image to tokens; the image feature is token 0 (paper, section on the feature extractor)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)
        self.stem = ResidualStem(config.channels)
        self.stem_norm = MapNorm((config.channels, PATCH, PATCH))
        self.stages = nn.ModuleList(
            _stage(config, depth, PATCH >> index, pool=index < 3) for index, depth in enumerate(config.stage_depths)
        )
        self.transformer = nn.Sequential(*(TransformerLayer(config) for _ in range(config.transformer_depth)))

    def taps(self, patches: Tensor) -> Taps:
        """Stage outputs and covariance vectors of single patches (P, 3, 64, 64), values in [0, 1]."""
        # The division by the standard deviation is in the stem's kernels; its zero padding stands for the mean.
        maps = self.stem((patches - self.mean).contiguous(memory_format=torch.channels_last), self.std)
        maps = F.hardtanh(self.stem_norm(maps), -STEM_LIMIT, STEM_LIMIT)
        outputs = []
        for stage in self.stages:
            maps = stage(maps)
            outputs.append(maps)
        stage1, stage2, stage3, stage4 = outputs
        return Taps(stage1, stage2, stage3, stage4, covariance_vector(stage4))

    def covariances(self, patches: Tensor) -> Tensor:
        """Covariance vectors (P, D) of single patches (P, 3, 64, 64), values in [0, 1]."""
        return self.taps(patches).covariance

    def transform(self, vectors: Tensor) -> Tensor:
        """Tokens (B, N, D) of the covariance vectors (B, N, D) of each image's patches."""
        tokens: Tensor = self.transformer(vectors)
        return tokens

    def image_features(self, patches: Tensor) -> Tensor:
        """Token 0 (B, D) of patches (B, N, 3, 64, 64), values in [0, 1]."""
        return self.first_tokens(self.covariances(patches.flatten(0, 1)).reshape(*patches.shape[:2], -1))

    def first_tokens(self, vectors: Tensor) -> Tensor:
        """Token 0 (B, D) of covariance vectors (B, N, D): the last layer computes no other token."""
        tokens = vectors
        *layers, last = self.transformer
        for layer in layers:
            tokens = layer(tokens)
        features: Tensor = last(tokens, 1)[:, 0]
        return features

    def forward(self, patches: Tensor) -> Tensor:
        """Tokens (B, N, D) of patches (B, N, 3, 64, 64), values in [0, 1]; `[:, 0]` is the image feature."""
        vectors = self.covariances(patches.flatten(0, 1))
        return self.transform(vectors.reshape(*patches.shape[:2], -1))


def random_backbone(config: BackboneConfig, seed: int) -> Backbone:
    """Return a backbone with random weights of a seed; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Backbone(config)
