from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks.reference_backbone import ReferenceBackbone
from models.backbone import PRESETS, Backbone, BackboneConfig, random_backbone

SMALL = BackboneConfig(6, (2, 1, 1, 1), transformer_depth=2, heads=2, head_dim=4, mlp_dim=8)


def shaken(config: BackboneConfig, seed: int) -> Backbone:
    """A backbone whose norms are no identities."""
    backbone = random_backbone(config, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for parameter in backbone.parameters():
            parameter.data += 0.1 * parameter.abs().mean() * torch.randn_like(parameter)
    return backbone


def awkward(patches: Tensor) -> Tensor:
    """Patches (P, 3, 64, 64) of which some are constant, saturated, black, half black, or equal to CLIP's mean."""
    kinds = patches.clone()
    kinds[0], kinds[1], kinds[2], kinds[3, :, :32] = 0.5, 1.0, 0.0, 0.0
    return kinds


def relative(actual: Tensor, expected: Tensor) -> float:
    """Distance of two tensors in shares of the expected one's norm."""
    distance = torch.linalg.vector_norm((actual - expected).detach()) / torch.linalg.vector_norm(
        expected.detach()
    ).clamp_min(1e-30)
    return float(distance)


def gradients(network: nn.Module, features: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(5)
    loss = (features * torch.randn_like(features)).sum()
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name: torch.zeros(1) if g is None else g for name, g in zip(names, found, strict=True)}


def test_full_preset_has_the_published_number_of_parameters() -> None:
    backbone = Backbone(PRESETS["full"])
    assert sum(p.numel() for p in backbone.parameters() if p.requires_grad) == 2_148_448
    assert PRESETS["full"].dimension == 528


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("images", "patches"), [(1, 1), (2, 5)])
def test_equals_the_layer_by_layer_reference_in_float64(preset: str, images: int, patches: int) -> None:
    backbone = shaken(PRESETS[preset], seed=3).double()
    reference = ReferenceBackbone.of(backbone)
    torch.manual_seed(0)
    given = torch.rand(images, patches, 3, 64, 64, dtype=torch.float64)
    if patches > 1:
        given[0] = awkward(given[0])
    tokens, expected = backbone(given), reference(given)
    assert (tokens - expected).abs().max() < 1e-8
    features = backbone.image_features(given)
    assert (features - expected[:, 0]).abs().max() < 1e-8
    actual, wanted = gradients(backbone, features), gradients(reference, expected[:, 0])
    for name, gradient in wanted.items():
        assert torch.isfinite(actual[name]).all(), name
        assert (actual[name] - gradient).abs().max() <= 1e-6 * gradient.abs().max() + 1e-12, name


@pytest.mark.parametrize("preset", PRESETS)
def test_equals_the_layer_by_layer_reference_in_float32(preset: str) -> None:
    backbone = shaken(PRESETS[preset], seed=4)
    reference = ReferenceBackbone.of(backbone)
    torch.manual_seed(1)
    given = torch.rand(2, 4, 3, 64, 64)
    features, expected = backbone.image_features(given), reference(given)[:, 0]
    assert relative(features, expected) < 1e-4
    actual, wanted = gradients(backbone, features), gradients(reference, expected)
    for name, gradient in wanted.items():
        assert relative(actual[name], gradient) < 1e-3, name


def test_taps_equal_the_references() -> None:
    backbone = shaken(SMALL, seed=0).double()
    given = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    taps, expected = backbone.taps(given), ReferenceBackbone.of(backbone).taps(given)
    assert [tuple(tap.shape) for tap in taps] == [(2, 6, 32, 32), (2, 6, 16, 16), (2, 6, 8, 8), (2, 6, 8, 8), (2, 21)]
    for tap, wanted in zip(taps, expected, strict=True):
        assert (tap - wanted).abs().max() < 1e-8


def test_order_of_the_other_patches_is_nothing_to_token_0() -> None:
    backbone = random_backbone(SMALL, seed=0)
    patches = torch.rand(1, 5, 3, 64, 64)
    shuffled = patches[:, [0, 3, 1, 4, 2]]
    with torch.no_grad():
        assert torch.allclose(backbone(patches)[:, 0], backbone(shuffled)[:, 0], atol=1e-5)


def test_random_weights_are_seeded_and_leaves_the_global_random_state() -> None:
    before = torch.get_rng_state()
    first, second, other = random_backbone(SMALL, 1), random_backbone(SMALL, 1), random_backbone(SMALL, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.stem.conv.weight, second.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)
