"""The network layer by layer, as the paper describes it: slow, plain, and the judge of the product's own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.backbone import Backbone
from models.residuals import srm_kernels


def stem(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Residual maps with zero padding 2, colour by colour, then the 3x3 convolution with zero padding 1."""
    kernels = srm_kernels().to(images.dtype)
    maps = torch.cat([F.conv2d(images[:, c : c + 1], kernels, padding=2) for c in range(3)], dim=1)
    return F.conv2d(maps, weight, bias, padding=1)


def covariance_vector(maps: Tensor) -> Tensor:
    """Covariance pooling of one map (C, H, W), with the centring matrix written out."""
    x = maps.flatten(1)
    channels, m = x.shape
    centring = torch.eye(m, dtype=x.dtype) / m - torch.ones(m, m, dtype=x.dtype) / m**2
    c = x @ centring @ x.T
    trace = c.trace()
    eye = torch.eye(channels, dtype=x.dtype)
    y, z = c / trace, eye
    for _ in range(5):
        t = 0.5 * (3 * eye - z @ y)
        y, z = y @ t, t @ z
    root = y * trace.sqrt()
    return torch.cat([root[i, i:] for i in range(channels)])


def tokens(backbone: Backbone, patches: Tensor) -> Tensor:
    """Tokens (N, D) of one image's patches (N, 3, 64, 64) with the weights of `backbone`."""
    weights = dict(backbone.named_parameters())

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean(), x.var(unbiased=False)
        return (x - mean) / (variance + 1e-5).sqrt() * weights[name + ".weight"] + weights[name + ".bias"]

    vectors = []
    for patch in (patches - backbone.mean) / backbone.std:
        x = stem(patch[None], weights["stem.conv.weight"], weights["stem.conv.bias"])[0]
        x = norm(x, "stem_norm").clamp(-5, 5)
        for stage, depth in enumerate(backbone.config.stage_depths):
            for layer in range(depth):
                conv, scale = f"stages.{stage}.{3 * layer}", f"stages.{stage}.{3 * layer + 1}"
                x = F.conv2d(x[None], weights[conv + ".weight"], weights[conv + ".bias"], padding=1)[0]
                x = norm(x, scale).relu()
            if stage < 3:
                windows = F.pad(x, [1, 1, 1, 1]).unfold(1, 3, 2).unfold(2, 3, 2)
                x = windows.mean(dim=(3, 4))
        vectors.append(covariance_vector(x))
    x = torch.stack(vectors)
    heads, size = backbone.config.heads, backbone.config.head_dim
    for layer in range(backbone.config.transformer_depth):
        name = f"transformer.{layer}."
        normed = torch.stack([norm(row, name + "attention.norm") for row in x])
        q, k, v = (normed @ weights[name + "attention.qkv.weight"].T).chunk(3, dim=1)
        mixed = []
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            mixed.append((q[:, part] @ k[:, part].T / size**0.5).softmax(dim=1) @ v[:, part])
        out = torch.cat(mixed, dim=1)
        x = x + out @ weights[name + "attention.out.weight"].T + weights[name + "attention.out.bias"]
        normed = torch.stack([norm(row, name + "mlp.0") for row in x])
        hidden = F.gelu(normed @ weights[name + "mlp.1.weight"].T + weights[name + "mlp.1.bias"])
        x = x + hidden @ weights[name + "mlp.3.weight"].T + weights[name + "mlp.3.bias"]
    return x
