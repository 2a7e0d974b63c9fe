from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backbone import PRESETS, Backbone, BackboneConfig, random_backbone
from tests.models import reference_backbone as reference

PUBLISHED = Path(__file__).parents[2] / "../shared/reference"
SMALL = BackboneConfig(6, (2, 1, 1, 1), transformer_depth=2, heads=2, head_dim=4, mlp_dim=8)

RENAMED = [
    (r"group1_b\.0", "stem.conv"),
    (r"group1_b\.1", "stem_norm"),
    *((rf"group{stage + 2}\.", f"stages.{stage}.") for stage in range(4)),
    (r"transformer\.layers\.(\d)\.0\.norm", r"transformer.\1.attention.norm"),
    (r"transformer\.layers\.(\d)\.0\.fn\.to_qkv", r"transformer.\1.attention.qkv"),
    (r"transformer\.layers\.(\d)\.0\.fn\.to_out\.0", r"transformer.\1.attention.out"),
    (r"transformer\.layers\.(\d)\.1\.norm", r"transformer.\1.mlp.0"),
    (r"transformer\.layers\.(\d)\.1\.fn\.net\.0", r"transformer.\1.mlp.1"),
    (r"transformer\.layers\.(\d)\.1\.fn\.net\.3", r"transformer.\1.mlp.3"),
]


def our_name(published: str) -> str:
    name = published.removeprefix("module.backbone.")
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def test_full_preset_has_the_published_number_of_parameters() -> None:
    backbone = Backbone(PRESETS["full"])
    assert sum(p.numel() for p in backbone.parameters() if p.requires_grad) == 2_148_448
    assert PRESETS["full"].dimension == 528


def test_tokens_equal_the_layer_by_layer_reference() -> None:
    backbone = random_backbone(SMALL, seed=3).double()
    torch.manual_seed(0)
    for parameter in backbone.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    patches = torch.rand(2, 3, 3, 64, 64, dtype=torch.float64)
    tokens = backbone(patches)
    assert tokens.shape == (2, 3, SMALL.dimension)
    expected = torch.stack([reference.tokens(backbone, image) for image in patches])
    assert (tokens - expected).abs().max() < 1e-8
    actual_gradients = torch.autograd.grad(tokens[:, 0].square().sum(), list(backbone.parameters()))
    expected_gradients = torch.autograd.grad(expected[:, 0].square().sum(), list(backbone.parameters()))
    for actual, wanted in zip(actual_gradients, expected_gradients, strict=True):
        assert (actual - wanted).abs().max() < 1e-6


def test_taps_shapes() -> None:
    taps = random_backbone(SMALL, seed=0).taps(torch.rand(2, 3, 64, 64))
    assert [tuple(tap.shape) for tap in taps] == [
        (2, 6, 32, 32),
        (2, 6, 16, 16),
        (2, 6, 8, 8),
        (2, 6, 8, 8),
        (2, 21),
    ]


def test_constant_patches_give_finite_features_and_gradients() -> None:
    backbone = random_backbone(SMALL, seed=0)
    backbone(torch.full((1, 4, 3, 64, 64), 0.5))[:, 0].sum().backward()
    for parameter in backbone.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


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


def test_answers_what_the_published_network_answers() -> None:
    if not PUBLISHED.exists():
        pytest.skip("the published network's reference answers are not there")
    state = torch.load(PUBLISHED / "backbone.pth", weights_only=True)["state_net"]
    expected = {k: torch.from_numpy(v) for k, v in np.load(PUBLISHED / "backbone_expected.npz").items()}
    backbone = Backbone(PRESETS["full"])
    kernels = state["module.backbone.group1.hpf.weight"]
    assert torch.equal(backbone.stem.srm, kernels)
    published = {
        our_name(key): value for key, value in state.items() if key.startswith("module.backbone.") and "hpf" not in key
    }
    backbone.load_state_dict(published)
    patches = expected["patches"].permute(0, 1, 4, 2, 3) / 255
    with torch.no_grad():
        taps = backbone.taps(patches.flatten(0, 1))
        feature = backbone(patches)[:, 0]
    heads = torch.cat(
        [feature @ state[f"module.fc{i}.weight"].T + state[f"module.fc{i}.bias"] for i in range(1, 15)], dim=1
    )
    for actual, name in [
        (taps.covariance.reshape(4, 5, -1), "covariance"),
        (taps.stage1[:1, None].transpose(0, 1), "stage1"),
        (taps.stage4.reshape(4, 5, 32, 8, 8), "stage4"),
        (feature, "feature"),
        (heads, "heads"),
    ]:
        assert actual.shape == expected[name].shape
        assert (actual - expected[name]).abs().max() < 1e-4, name
