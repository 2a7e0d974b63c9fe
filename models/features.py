"""Features of images from a backbone: what the detectors are fitted on.

Here belongs running patches of any number of images through the network without gradients. Which patches an
image gives and what becomes of the features is the detectors' business.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.allocator import keep_freed_memory
from models.backbone import PATCH, Backbone

CHUNK = 128
"""Patches that go through the convolutions at once."""


@dataclass(frozen=True)
class Features:
    """Features of n images: token 0 (n, D), float32; and the speed."""

    token0: NDArray[np.float32]
    patches_per_second: float


def _vectors(backbone: Backbone, patches: NDArray[np.uint8]) -> Tensor:
    """Covariance vectors (P, D) of patches (P, 64, 64, 3), chunk by chunk."""
    vectors, device = [], next(backbone.parameters()).device
    for start in range(0, len(patches), CHUNK):
        chunk = torch.from_numpy(np.ascontiguousarray(patches[start : start + CHUNK])).to(device)
        vectors.append(backbone.covariances(chunk.permute(0, 3, 1, 2).float() / 255))
    return torch.cat(vectors)


def covariance_features(backbone: Backbone, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Covariance vectors (P, D) of patches (P, 64, 64, 3), uint8, by a backbone in evaluation mode."""
    keep_freed_memory()
    with torch.inference_mode():
        return np.asarray(_vectors(backbone, patches).cpu().numpy())


def extract(backbone: Backbone, images: Sequence[NDArray[np.uint8]]) -> Features:
    """Features of images, each given as its patches (N, 64, 64, 3), N of its own.

    Images of equal N share batches; an image with thousands of patches goes through the convolutions in
    chunks and through the transformer whole. ValueError for an image without patches or of another shape.
    """
    by_count: dict[int, list[int]] = defaultdict(list)
    for index, patches in enumerate(images):
        if patches.ndim != 4 or patches.shape[1:] != (PATCH, PATCH, 3) or patches.dtype != np.uint8:
            raise ValueError(f"image {index}: patches {patches.shape} {patches.dtype}, not (N, 64, 64, 3) uint8")
        if len(patches) == 0:
            raise ValueError(f"image {index} has no patch")
        by_count[len(patches)].append(index)
    dimension = backbone.config.dimension
    token0 = np.empty((len(images), dimension), dtype=np.float32)
    keep_freed_memory()
    training = backbone.training
    backbone.eval()
    started = time.perf_counter()
    with torch.inference_mode():
        for count, indices in sorted(by_count.items()):
            together = max(1, CHUNK // count)
            for start in range(0, len(indices), together):
                batch = indices[start : start + together]
                vectors = _vectors(backbone, np.concatenate([images[i] for i in batch]))
                tokens = backbone.transform(vectors.reshape(len(batch), count, dimension))
                token0[batch] = tokens[:, 0].cpu().numpy()
    elapsed = time.perf_counter() - started
    backbone.train(training)
    return Features(token0, sum(len(p) for p in images) / max(elapsed, 1e-9))
