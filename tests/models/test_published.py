from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.published import PublishedBackbone, published_name, read_published
from models.residuals import srm_kernels
from models.weights import Header, WeightsError, load_backbone, save_backbone
from tests.models.published_files import published_state, write_published

ANSWERS = Path(__file__).parents[2] / "../shared/reference"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return published_state(PublishedBackbone())


def write(folder: Path, state: Any) -> Path:
    torch.save({"state_net": state}, folder / "net.pth")
    return folder / "net.pth"


def test_a_backbone_comes_back_as_it_was(state: dict[str, Tensor], tmp_path: Path) -> None:
    assert len(state) == 95
    for given in (state, {key.removeprefix("module."): tensor for key, tensor in state.items()}):
        found = read_published(write(tmp_path, given)).network
        assert isinstance(found, PublishedBackbone)
        for key, tensor in found.state_dict().items():
            assert torch.equal(tensor, state[f"module.{published_name(key)}"])


def test_half_precision_is_read_as_float32(state: dict[str, Tensor], tmp_path: Path) -> None:
    found = read_published(write(tmp_path, {key: tensor.half() for key, tensor in state.items()})).network
    assert {tensor.dtype for tensor in found.state_dict().values()} == {torch.float32}


def test_a_binary_detector_comes_back_as_it_was(tmp_path: Path) -> None:
    network = BinaryNetwork(PRESETS["full"])
    found = read_published(write_published(tmp_path / "net.pth", network)).network
    assert isinstance(found, BinaryNetwork)
    for key, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor)
    assert not any(parameter.requires_grad for parameter in found.pretext.parameters())


def test_every_wrong_key_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    wrong = dict(state)
    del wrong["module.backbone.group3.1.weight"], wrong["module.fc9.bias"]
    wrong["module.backbone.group6.0.weight"] = torch.zeros(1)
    wrong["module.fc2.weight"] = torch.zeros(8, 528)
    wrong["module.fc1.bias"] = torch.zeros(1, dtype=torch.int64)
    wrong["module.fc3.bias"] = torch.full((1,), torch.nan)
    wrong["module.fc4.bias"] = torch.full((1,), 1e300, dtype=torch.float64)
    wrong["module.fc5.bias"] = torch.zeros(1).to(torch.float8_e4m3fn)
    wrong["module.fc8.bias"] = torch.zeros(1).to_sparse()
    wrong["module.fc13.bias"] = torch.zeros(1, device="meta")
    wrong["module.backbone.group1.hpf.weight"] = srm_kernels().flip(0)
    with pytest.raises(WeightsError) as raised:
        read_published(write(tmp_path, wrong))
    for said in (
        "missing backbone.group3.1.weight",
        "missing fc9.bias",
        "unexpected backbone.group6.0.weight",
        "fc2.weight is (8, 528), not (7, 528)",
        "fc1.bias holds torch.int64",
        "fc3.bias is not finite",
        "fc4.bias is not finite",
        "fc5.bias holds torch.float8_e4m3fn",
        "fc8.bias holds torch.float32 (torch.sparse_coo",
        "fc13.bias holds torch.float32 (torch.strided, meta)",
        "backbone.group1.hpf.weight are not the 30 SRM kernels",
    ):
        assert said in str(raised.value)


class Harm:
    """What a pickle may do: call anything."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_a_file_that_would_run_code_is_refused_and_not_run(state: dict[str, Tensor], tmp_path: Path) -> None:
    trace = tmp_path / "harmed"
    path = write(tmp_path, {**state, "module.fc1.bias": Harm(trace)})
    with pytest.raises(WeightsError, match=r"holds more than tensors.*nothing was run"):
        read_published(path)
    path.write_bytes(pickle.dumps(Harm(trace)))
    with pytest.raises(WeightsError, match="nothing was run"):
        read_published(path)
    assert not trace.exists()


def test_what_is_no_checkpoint_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = write(tmp_path, state)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], b"\x80\x02}q\x00."):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="no published checkpoint"):
            read_published(path)
    torch.save(state, path)
    with pytest.raises(WeightsError, match="no dictionary 'state_net'"):
        read_published(path)
    torch.save({"state_net": {"module.backbone.x": 3}}, path)
    with pytest.raises(WeightsError, match="more than named tensors"):
        read_published(path)
    torch.save({"state_net": {"module.a\x1b[2J": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match="more than named tensors"):
        read_published(path)
    torch.save({"state_net": {f"other.{number}": torch.zeros(1) for number in range(5000)}}, path)
    with pytest.raises(WeightsError, match=r"neither of a backbone nor of a binary detector$"):
        read_published(path)
    keys = [key if number % 2 else key.removeprefix("module.") for number, key in enumerate(state)]
    torch.save({"state_net": dict(zip(keys, state.values(), strict=True))}, path)
    with pytest.raises(WeightsError, match=r"47 of 95 keys begin with `module.` instead of all or none$"):
        read_published(path)
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match="1048576 MiB"):
        read_published(path)
    with pytest.raises(WeightsError, match="is a folder"):
        read_published(tmp_path)
    with pytest.raises(WeightsError, match="no such file"):
        read_published(tmp_path / "absent.pth")


@pytest.mark.parametrize("with_heads", [True, False])
def test_an_imported_backbone_is_kept_in_our_own_format(tmp_path: Path, with_heads: bool) -> None:
    network = PublishedBackbone()
    heads = network.heads if with_heads else None
    header = Header("imported", "full", network.backbone.config, None, {"sha256": "0"}, {})
    save_backbone(tmp_path / "backbone.safetensors", network.backbone, heads, header)
    loaded = load_backbone(tmp_path / "backbone.safetensors")
    assert loaded.header == header
    assert (loaded.heads is not None) == with_heads
    for key, tensor in network.backbone.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[key], tensor)


def answers(name: str) -> dict[str, Tensor]:
    if not ANSWERS.exists():
        pytest.skip("the published network's reference answers are not there")
    return {key: torch.from_numpy(value) for key, value in np.load(ANSWERS / f"{name}_expected.npz").items()}


def patches_of(expected: dict[str, Tensor]) -> Tensor:
    return expected["patches"].permute(0, 1, 4, 2, 3) / 255


def agree(actual: Tensor, expected: Tensor) -> bool:
    return actual.shape == expected.shape and (actual - expected).abs().max().item() < 1e-4


def test_answers_what_the_published_backbone_answers() -> None:
    expected = answers("backbone")
    found = read_published(ANSWERS / "backbone.pth").network
    assert isinstance(found, PublishedBackbone)
    patches = patches_of(expected)
    with torch.inference_mode():
        taps = found.backbone.taps(patches.flatten(0, 1))
        feature = found.backbone.image_features(patches)
        assert agree(taps.covariance.reshape(4, 5, -1), expected["covariance"])
        assert agree(taps.stage1[:1, None].transpose(0, 1), expected["stage1"])
        assert agree(taps.stage4.reshape(4, 5, 32, 8, 8), expected["stage4"])
        assert agree(feature, expected["feature"])
        assert agree(found.backbone(patches)[:, 0], expected["feature"])
        assert agree(found.heads(feature), expected["heads"])


def test_answers_what_the_published_binary_detector_answers() -> None:
    expected = answers("binary")
    found = read_published(ANSWERS / "binary.pth").network
    assert isinstance(found, BinaryNetwork)
    patches = patches_of(answers("backbone"))
    with torch.inference_mode():
        assert agree(found.own.image_features(patches), expected["feature"])
        assert agree(found(patches), expected["logits"])
        assert agree(found.tap_distances(patches.flatten(0, 1)), expected["tap_distances"])
