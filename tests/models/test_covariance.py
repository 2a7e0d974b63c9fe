from __future__ import annotations

import torch

from benchmarks.reference_backbone import root_covariance
from models.covariance import covariance, covariance_vector, matrix_square_root


def test_vector_equals_the_plain_formula() -> None:
    torch.manual_seed(0)
    maps = torch.randn(4, 6, 8, 8, dtype=torch.float64) * torch.tensor([0.01, 1, 100, 3])[:, None, None, None]
    vectors = covariance_vector(maps)
    assert vectors.shape == (4, 21)
    assert torch.allclose(vectors, root_covariance(maps), rtol=1e-9, atol=1e-12)


def test_square_root_squares_back() -> None:
    torch.manual_seed(1)
    matrices = covariance(torch.randn(5, 4, 16, 16, dtype=torch.float64))
    roots = matrix_square_root(matrices)
    assert ((roots @ roots - matrices).abs().amax() / matrices.abs().amax()) < 0.05


def test_maps_without_variance_give_zeros_and_finite_gradients() -> None:
    torch.manual_seed(2)
    maps = torch.randn(3, 5, 8, 8)
    maps[0], maps[1] = 0.0, torch.arange(5.0)[:, None, None]
    maps.requires_grad_()
    vectors = covariance_vector(maps)
    assert vectors[:2].abs().max() == 0
    assert vectors[2].abs().max() > 0
    torch.autograd.backward(vectors.square().sum())
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
    assert maps.grad[:2].abs().max() == 0
    assert maps.grad[2].abs().max() > 0
