from __future__ import annotations

import pytest
import torch

from benchmarks.reference_backbone import PlainStem
from models.residuals import ResidualStem, srm_kernels


def test_kernels_take_nothing_from_a_flat_patch_and_are_thirty() -> None:
    kernels = srm_kernels(torch.float64)
    assert kernels.shape == (30, 1, 5, 5)
    assert kernels.sum(dim=(1, 2, 3)).abs().max() < 1e-12
    assert len({tuple(kernel.flatten().tolist()) for kernel in kernels}) == 30


def test_kernels_are_in_the_published_order() -> None:
    kernels = srm_kernels()[:, 0]
    centres = [-1.0] * 8 + [-1.0] * 4 + [-1.0] * 8 + [-1.0] * 10
    assert kernels[:, 2, 2].tolist() == centres
    assert kernels[0, 1, 1] == 1
    assert kernels[3, 2, 1] == 1
    assert kernels[9, 1, 2] == kernels[9, 3, 2] == 0.5
    # Third order, fourth direction (east): one tap behind, one ahead, one two ahead.
    assert torch.allclose(kernels[15, 2], torch.tensor([0, 1, -3, 3, -1]) / 3)
    assert torch.allclose(kernels[20, 1, 1:4], torch.tensor([-1, 2, -1]) / 4)
    assert kernels[20, 3].abs().sum() == 0
    assert kernels[21, :, 1].abs().sum() == 0
    assert kernels[25, :, :2].abs().sum() == 0
    assert kernels[29, 1].tolist() == pytest.approx([2 / 12, -6 / 12, 8 / 12, -6 / 12, 2 / 12])


@pytest.mark.parametrize("size", [(64, 64), (9, 13), (3, 3)])
def test_composed_stem_equals_the_two_plain_steps(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    stem, plain = ResidualStem(8).double(), PlainStem(8).double()
    plain.load_state_dict(stem.state_dict())
    images, scale = torch.randn(3, 3, *size, dtype=torch.float64), torch.tensor([0.2, 0.3, 0.4]).double().view(3, 1, 1)
    expected, composed = plain(images / scale), stem(images, scale)
    assert (expected - composed).abs().max() < 1e-8
    cotangent = torch.randn_like(composed)
    wanted = torch.autograd.grad((expected * cotangent).sum(), list(plain.parameters()))
    actual = torch.autograd.grad((composed * cotangent).sum(), list(stem.parameters()))
    for a, b in zip(actual, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-6 * b.abs().max()


def test_kernels_that_start_on_colour_differences_see_nothing_of_a_grey_image() -> None:
    torch.manual_seed(0)
    stem = ResidualStem(8).double()
    stem.start_on_colour_differences()
    grey, scale = torch.rand(2, 1, 16, 16, dtype=torch.float64).expand(2, 3, 16, 16), torch.ones(3, 1, 1).double()
    assert stem.conv.bias is not None
    flat = stem.conv.bias.view(1, -1, 1, 1)
    assert (stem(grey, scale) - flat).abs().max() < 1e-12
    coloured = grey.clone()
    coloured[:, 1] = coloured[:, 1].flip(2)
    assert ((stem(coloured, scale) - flat).flatten(2).std(dim=2) > 0.1).all()
