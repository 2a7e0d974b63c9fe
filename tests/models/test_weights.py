from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.pretext import CATEGORICAL, PretextHeads, Vocabulary
from models.weights import (
    Header,
    WeightsError,
    load_backbone,
    load_binary,
    load_exactly,
    save_backbone,
    save_binary,
    untrained,
    write_atomically,
)

VOCABULARY = Vocabulary(dict.fromkeys(CATEGORICAL, ("a", "b", "other")))
HEADER = Header("trained", "compact", PRESETS["compact"], VOCABULARY, {"corpus": "photos"}, {"score": 0.25})


def saved(path: Path) -> Path:
    backbone = untrained("compact", seed=4)
    save_backbone(path, backbone, PretextHeads(backbone.config.dimension, VOCABULARY), HEADER)
    return path


def test_saved_backbone_returns_with_its_header_and_answers(tmp_path: Path) -> None:
    backbone = untrained("compact", seed=4)
    heads = PretextHeads(backbone.config.dimension, VOCABULARY)
    path = tmp_path / "new" / "backbone.safetensors"
    save_backbone(path, backbone, heads, HEADER)
    loaded = load_backbone(path)
    assert loaded.header == HEADER
    assert not loaded.backbone.training
    assert loaded.heads is not None
    patches = torch.rand(1, 2, 3, 64, 64)
    with torch.no_grad():
        expected, actual = heads(backbone(patches)[:, 0]), loaded.heads(loaded.backbone(patches)[:, 0])
    assert all(torch.equal(actual[tag], expected[tag]) for tag in expected)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    backbone = untrained("compact", seed=4)
    heads = PretextHeads(backbone.config.dimension, VOCABULARY)
    contents = set()
    for i in range(4):
        save_backbone(tmp_path / f"{i}", backbone, heads, HEADER)
        contents.add((tmp_path / f"{i}").read_bytes())
    assert len(contents) == 1


def test_a_binary_detector_returns_whole_and_is_no_backbone_file(tmp_path: Path) -> None:
    network = BinaryNetwork(PRESETS["compact"])
    header = Header("imported", "compact", PRESETS["compact"], None, {"sha256": "0"}, {})
    save_binary(tmp_path / "binary", network, header)
    loaded = load_binary(tmp_path / "binary")
    assert not loaded.training
    for key, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)
    with pytest.raises(WeightsError, match=r"unexpected classifier\.bias"):
        load_backbone(tmp_path / "binary")


def test_wrong_keys_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "backbone.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    state["backbone.stray"] = torch.zeros(1)
    state["heads.linear.iso.bias"] = torch.zeros(7)
    del state["backbone.stem.conv.bias"]
    save_file(state, path, metadata=metadata)
    with pytest.raises(WeightsError) as error:
        load_backbone(path)
    message = str(error.value)
    assert "missing backbone.stem.conv.bias" in message
    assert "unexpected backbone.stray" in message
    assert "heads.linear.iso.bias is (7,), not (1,)" in message


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "backbone.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_backbone(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="no header"):
        load_backbone(path)
    metadata = HEADER.to_metadata()
    future = metadata["sdaie"].replace('"format_version": 2', '"format_version": 1')
    save_file({"x": torch.zeros(1)}, path, metadata={"sdaie": future})
    with pytest.raises(WeightsError, match="format 1"):
        load_backbone(path)


def test_load_exactly_leaves_the_module_untouched_on_error() -> None:
    layer = torch.nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    with pytest.raises(WeightsError, match="missing bias"):
        load_exactly(layer, {"weight": torch.zeros(1, 2)}, "layer")
    assert torch.equal(layer.weight, before)


def test_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="full, compact"):
        untrained("huge", seed=0)
