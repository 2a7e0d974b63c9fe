import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assets.backbone import backbone, pretext_targets, untrained_backbone
from assets.crops import crops
from assets.stage import Context
from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.published import PublishedBackbone
from models.weights import load_backbone, load_binary, save_untrained
from tests.models.published_files import write_published
from warehouse.home import Home, UserError
from warehouse.registry import read_registry, set_training
from warehouse.shards import frame

ROOT = Path(__file__).parents[2]


def sdaie(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "--home", str(home), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def networks() -> dict[str, PublishedBackbone | BinaryNetwork]:
    return {"backbone": PublishedBackbone(), "binary": BinaryNetwork(PRESETS["full"])}


@pytest.mark.parametrize("kind", ["backbone", pytest.param("binary", marks=pytest.mark.slow)])
def test_a_published_file_is_imported_and_in_use(
    tmp_path: Path, networks: dict[str, PublishedBackbone | BinaryNetwork], kind: str
) -> None:
    home, network = Home(tmp_path / "home"), networks[kind]
    done = sdaie(home.path, "backbone", "import", str(write_published(tmp_path / "net.pth", network)))
    assert done.returncode == 0, done.stderr
    assert "2,148,448 parameters, now in use" in done.stderr
    identity = read_registry(home).training.backbone
    loaded = load_backbone(home.backbones / identity / "backbone.safetensors")
    assert loaded.header.origin == "imported"
    own = network.pretext if isinstance(network, BinaryNetwork) else network.backbone
    for key, tensor in own.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[key], tensor)
    whole = home.backbones / identity / "binary.safetensors"
    assert whole.exists() == isinstance(network, BinaryNetwork)
    if isinstance(network, BinaryNetwork):
        for key, tensor in network.state_dict().items():
            assert torch.equal(load_binary(whole).state_dict()[key], tensor)
    listed = sdaie(home.path, "backbone", "list").stdout
    assert listed.startswith(f"* {identity}  imported   full")


@pytest.mark.slow
def test_the_one_in_use_is_chosen_by_name(
    tmp_path: Path, networks: dict[str, PublishedBackbone | BinaryNetwork]
) -> None:
    home = Home(tmp_path / "home")
    sdaie(home.path, "backbone", "import", str(write_published(tmp_path / "net.pth", networks["backbone"])))
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


def test_a_damaged_backbone_is_listed_as_such(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    save_untrained(home.backbones / ("0" * 16) / "backbone.safetensors", "compact", 0)
    (home.backbones / ("1" * 16)).mkdir()
    (home.backbones / ("1" * 16) / "backbone.safetensors").write_text("text")
    listed = sdaie(home.path, "backbone", "list")
    assert listed.returncode == 0, listed.stderr
    first, second = listed.stdout.splitlines()
    assert "untrained  compact" in first
    assert "unreadable" in second
    assert "not a whole safetensors file" in second


def without_photographs(home: Home) -> Context:
    context = Context(home)
    for stage in (pretext_targets, crops):
        context.store.write(stage.tables[0], frame(stage.tables[0], []))
    return context


@pytest.mark.parametrize(
    ("identity", "said"), [("a" * 16, "`sdaie backbone list` says which are"), ("0" * 16, "was not imported")]
)
def test_what_was_not_imported_into_the_home_is_one_clear_sentence(tmp_path: Path, identity: str, said: str) -> None:
    home = Home(tmp_path / "home")
    save_untrained(home.backbones / ("0" * 16) / "backbone.safetensors", "compact", 0)
    set_training(home, backbone=identity)
    context = without_photographs(home)
    for stage in (backbone, untrained_backbone):
        assert not stage.is_current(context)
        with pytest.raises(UserError, match=said):
            stage.materialise(context)
