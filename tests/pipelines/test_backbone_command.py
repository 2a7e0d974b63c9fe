import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.published import PublishedBackbone, published_name
from models.residuals import srm_kernels
from models.weights import load_backbone
from warehouse.home import Home
from warehouse.registry import read_registry

ROOT = Path(__file__).parents[2]


def sdaie(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "--home", str(home), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def checkpoint(path: Path, network: PublishedBackbone | BinaryNetwork) -> Path:
    state = {f"module.{published_name(key)}": tensor for key, tensor in network.state_dict().items()}
    for part in {key.split(".")[1] for key in state if ".group1_b." in key}:
        state[f"module.{part}.group1.hpf.weight"] = srm_kernels()
    torch.save({"state_net": state}, path)
    return path


@pytest.fixture(scope="module")
def networks() -> dict[str, PublishedBackbone | BinaryNetwork]:
    return {"backbone": PublishedBackbone(), "binary": BinaryNetwork(PRESETS["full"])}


@pytest.mark.parametrize("kind", ["backbone", "binary"])
def test_a_published_file_is_imported_and_in_use(
    tmp_path: Path, networks: dict[str, PublishedBackbone | BinaryNetwork], kind: str
) -> None:
    home, network = Home(tmp_path / "home"), networks[kind]
    done = sdaie(home.path, "backbone", "import", str(checkpoint(tmp_path / "net.pth", network)))
    assert done.returncode == 0, done.stderr
    assert "2,148,448 parameters, now in use" in done.stderr
    identity = read_registry(home).training.backbone
    loaded = load_backbone(home.backbones / identity / "backbone.safetensors")
    assert loaded.header.origin == "imported"
    own = network.pretext if isinstance(network, BinaryNetwork) else network.backbone
    for key, tensor in own.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[key], tensor)
    assert (home.backbones / identity / "binary.safetensors").exists() == (kind == "binary")
    listed = sdaie(home.path, "backbone", "list").stdout
    assert listed.startswith(f"* {identity}  imported   full")


def test_the_one_in_use_is_chosen_by_name(
    tmp_path: Path, networks: dict[str, PublishedBackbone | BinaryNetwork]
) -> None:
    home = Home(tmp_path / "home")
    sdaie(home.path, "backbone", "import", str(checkpoint(tmp_path / "net.pth", networks["backbone"])))
    identity = read_registry(home).training.backbone
    assert sdaie(home.path, "backbone", "use", "trained").returncode == 0
    assert read_registry(home).training.backbone == "trained"
    assert sdaie(home.path, "backbone", "list").stdout.startswith(f"  {identity}")
    assert sdaie(home.path, "backbone", "use", identity).returncode == 0
    refused = sdaie(home.path, "backbone", "use", "0" * 16)
    assert refused.returncode == 1
    assert "`sdaie backbone list` says which are" in refused.stderr
    assert read_registry(home).training.backbone == identity


def test_another_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("text")
    refused = sdaie(tmp_path / "home", "backbone", "import", str(tmp_path / "x.pth"))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "x.pth: no published checkpoint" in refused.stderr
