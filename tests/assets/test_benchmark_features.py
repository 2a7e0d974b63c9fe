"""Features are computed once for an image, a backbone and a condition, whatever is added later."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.backbone import backbone, untrained_backbone
from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.stage import Context
from models import description
from models.weights import save_untrained
from warehouse.home import Home
from warehouse.registry import Dataset, add_dataset
from warehouse.shards import frame

PARTITION = "tiny.maker"


def add_image(folder: Path, number: int) -> None:
    noise = np.random.default_rng(number).integers(0, 256, (260, 264, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG")
    (folder / "maker" / "1_fake" / f"{number}.png").write_bytes(buffer.getvalue())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    folder = tmp_path / "set"
    (folder / "maker" / "1_fake").mkdir(parents=True)
    for number in range(3):
        add_image(folder, number)
    add_dataset(home, "tiny", Dataset(source=str(folder)))
    use_backbones(home, 1)
    return home


def use_backbones(home: Home, seed: int) -> None:
    store = Context(home).store
    for role, number in (("trained", seed), ("untrained", 99)):
        identity = f"{number:016x}"
        save_untrained(home.backbones / identity / "backbone.safetensors", "compact", number)
        row = {"role": role, "origin": role, "backbone": identity, "preset": "compact"}
        store.write("backbones", frame("backbones", [row]), partition=role, provenance={})
    for table in ("pretext_metrics", "training_curve"):
        store.write(table, frame(table, []), partition="trained", provenance={})
    assert {backbone.table_partition, untrained_backbone.table_partition} == {"trained", "untrained"}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How many images went through the backbone, by track and perturbation."""
    counted: Counter[tuple[str, str]] = Counter()
    original = description.describe

    def counting(images: Sequence[Any], track: str, network: Any, perturbation: str) -> Any:
        counted[track, perturbation] += len(images)
        return original(images, track, network, perturbation)

    monkeypatch.setattr(description, "describe", counting)
    return counted


def run(home: Home, force: bool = False) -> dict[str, bytes]:
    context = Context(home, PARTITION, force=force)
    benchmark_images.materialise(context)
    benchmark_features.materialise(context)
    return {path.name: path.read_bytes() for path in context.store.paths("benchmark_features", [PARTITION])}


def test_the_default_grid_is_on_the_headline_track(home: Home, passes: Counter[tuple[str, str]]) -> None:
    run(home)
    assert passes == dict.fromkeys(
        [
            ("as_shipped", "none"),
            *(("format_matched", name) for name in ("none", "jpeg_95", "jpeg_75", "resize_0.5", "blur_1")),
            ("format_matched", "resize_0.5+jpeg_75"),
        ],
        3,
    )
    rows = Context(home).store.read("benchmark_features")
    assert len(rows) == 3 * 7
    assert rows["token0"].list.len().unique().to_list() == [136]
    assert rows["backbone"].unique().to_list() == [f"{1:016x}"], "the trained backbone alone"


def test_a_new_image_costs_one_image_and_the_table_is_that_of_a_run_from_scratch(
    home: Home, tmp_path: Path, passes: Counter[tuple[str, str]]
) -> None:
    run(home)
    passes.clear()
    add_image(tmp_path / "set", 7)
    added = run(home)
    assert set(passes.values()) == {1}
    passes.clear()
    assert run(home, force=True) == added
    assert set(passes.values()) == {4}


@pytest.mark.slow
def test_a_wider_grid_costs_what_it_adds(home: Home, passes: Counter[tuple[str, str]]) -> None:
    home.registry.write_text(home.registry.read_text() + '\n[evaluation]\ngrid = "none"\n')
    run(home)
    passes.clear()
    home.registry.write_text(home.registry.read_text().replace('"none"', '"whole"'))
    whole = run(home)
    assert ("format_matched", "none") not in passes
    assert len(passes) == 2 * 21
    assert run(home, force=True) == whole


def test_a_new_backbone_costs_one_backbone(home: Home, passes: Counter[tuple[str, str]]) -> None:
    run(home)
    passes.clear()
    use_backbones(home, 2)
    changed = run(home)
    assert set(passes.values()) == {3}
    assert run(home, force=True) == changed


def test_a_wild_set_has_a_track_of_its_own(home: Home) -> None:
    home.registry.write_text(home.registry.read_text().replace("wild = false", "wild = true"))
    run(home)
    tracks = Context(home).store.read("benchmark_features")["track"].unique().sort().to_list()
    assert tracks == ["format_matched", "in_the_wild"]


def test_a_set_that_only_trains_is_not_described(home: Home, passes: Counter[tuple[str, str]]) -> None:
    home.registry.write_text(home.registry.read_text().replace('["evaluate"]', '["train"]'))
    run(home)
    assert not passes
    assert Context(home).store.read("benchmark_features").is_empty()
    assert len(Context(home).store.read("benchmark_images")) == 3
