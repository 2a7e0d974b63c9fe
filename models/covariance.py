"""Covariance pooling: the square root of a feature map's channel covariance, as a vector.

Here belongs the fast matrix square root of Li et al., "Towards Faster Training of Global Covariance Pooling
Networks by Iterative Matrix Square Root Normalization" (CVPR 2018). No learned parameter is in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 5


def covariance(features: Tensor) -> Tensor:
    """Channel covariance (P, C, C) of feature maps (P, C, H, W): X (I/M - 11'/M^2) X' with M = H W."""
    flat = features.flatten(2)
    centred = flat - flat.mean(dim=2, keepdim=True)
    return centred @ centred.transpose(1, 2) / flat.shape[2]


def matrix_square_root(matrices: Tensor) -> Tensor:
    """Square roots (P, C, C) of covariance matrices by 5 coupled Newton-Schulz steps.

    The trace scales each matrix before the steps and its root scales back after them. A matrix without any
    variance gives zeros, with zero gradients: the iteration itself would divide by its trace.
    """
    trace = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
    empty = trace <= torch.finfo(matrices.dtype).eps ** 2
    trace = trace.masked_fill(empty, 1.0)
    identity_3 = 3.0 * torch.eye(matrices.shape[1], dtype=matrices.dtype, device=matrices.device)
    normalised = matrices / trace
    step = 0.5 * (identity_3 - normalised)
    root, inverse = normalised @ step, step
    for _ in range(ITERATIONS - 2):
        step = 0.5 * (identity_3 - inverse @ root)
        root, inverse = root @ step, step @ inverse
    root = 0.5 * root @ (identity_3 - inverse @ root)
    return (root * trace.sqrt()).masked_fill(empty, 0.0)


def covariance_vector(features: Tensor) -> Tensor:
    """Row-major upper triangle with diagonal, (P, C (C + 1) / 2), of the root covariance of (P, C, H, W)."""
    root = matrix_square_root(covariance(features))
    row, column = torch.triu_indices(root.shape[1], root.shape[1], device=root.device).unbind()
    return root[:, row, column]
