"""The stages of the binary detector on small sets of pictures; its training program runs in this process."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image
from pydantic import TypeAdapter

from assets.backbone import TRAINED, backbone
from assets.binary import binary_networks, binary_weights, detector_names
from assets.binary_images import binary_crops, binary_images, part_of
from assets.checks import _binary_crops, _binary_images
from assets.imports import import_backbone
from assets.stage import Context, to_asset
from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.binary_detector import BinaryDetector
from models.train import run_job
from models.weights import load_backbone, read_header, save_untrained
from pipelines.instance import prepare
from tests.models import synthetic_images
from tests.models.published_files import write_published
from warehouse.home import Home, UserError
from warehouse.registry import Dataset, Name, add_dataset
from warehouse.shards import frame

STAGES = (binary_images, binary_crops, binary_networks)


def trainer(started: list[Mapping[str, Any]]) -> Any:
    """Runs a job as the training process does, and keeps what it was asked for."""

    def launch(module: str, extras: Mapping[str, Any]) -> None:
        assert module == "pipelines.train_process"
        started.append(extras)
        job = json.loads(json.dumps(extras))
        # Fewer patches than the schedule: that it learns is another test's business.
        job["config"] |= {"batch_images": 4, "patches": 1, "validation_patches": 1, "threads": 1}
        run_job(job, lambda report: None)

    return launch


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A home with a backbone in use, and nothing registered."""
    home = Home(tmp_path / "home")
    context = Context(home)
    save_untrained(home.backbones / ("0" * 16) / "backbone.safetensors", "compact", 0)
    row = {
        "role": TRAINED,
        "origin": "trained",
        "backbone": "0" * 16,
        "preset": "compact",
        "parameters": 1,
        "feature_dimension": 136,
        "steps": 1,
        "photographs": 1,
        "groups": 1,
        "simulated_only": False,
    }
    context.store.write("backbones", frame("backbones", [row]), partition=TRAINED)
    for table in ("pretext_metrics", "training_curve"):
        context.store.write(table, frame(table, []), partition=TRAINED)
    return context


def picture(folder: Path, name: str, generated: bool, seed: int, side: int = 80) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(synthetic_images.picture(np.random.default_rng(seed), generated, side)).save(path)
    return path


def content_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def register(context: Context, folder: Path, generators: tuple[str, ...], each: int = 60, name: str = "set") -> None:
    """A set for training and evaluation with as many generated images of each generator as photographs."""
    for number, generator in enumerate(generators):
        for image in range(each):
            seed = 1000 * number + image
            picture(folder, f"{generator}/0_real/{image}.png", False, seed)
            picture(folder, f"{generator}/1_fake/{image}.png", True, seed)
    add_dataset(context.home, name, Dataset(source=str(folder), use=["evaluate", "train"]))


def settings(context: Context, **values: str | float) -> None:
    """Write the section [binary], two steps where nothing else is asked."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in ({"steps": 2} | values).items()]
    text = context.home.registry.read_text() if context.home.registry.exists() else ""
    context.home.registry.write_text(text + "\n[binary]\n" + "\n".join(lines) + "\n")


def run(context: Context, started: list[Mapping[str, Any]] | None = None) -> pl.DataFrame:
    """All three stages; the networks."""
    working = Context(context.home, launch=trainer([] if started is None else started))
    for each in STAGES:
        if not each.is_current(working):
            each.materialise(working)
    assert all(each.is_current(working) for each in STAGES)
    return context.store.read("binary_networks")


def test_without_a_set_for_training_everything_is_empty(context: Context, tmp_path: Path) -> None:
    picture(tmp_path / "images", "a/1_fake/1.png", True, 0)
    add_dataset(context.home, "judged", Dataset(source=str(tmp_path / "images")))
    started: list[Mapping[str, Any]] = []
    assert run(context, started).is_empty()
    assert not started
    for table in ("binary_images", "binary_crops"):
        assert context.store.read(table).is_empty()
    assert binary_weights(context) == {}


def test_one_detector_is_trained_on_half_of_all_generators(context: Context, tmp_path: Path) -> None:
    register(context, tmp_path / "images", ("GenA", "genB"))
    settings(context)
    (row,) = run(context).to_dicts()
    assert (row["detector"], row["left_out"], row["backbone"]) == ("binary", None, "0" * 16)
    assert (row["seen"], row["alpha"], row["steps"]) == ("set.GenA+set.genB", 0.05, 2)
    images = context.store.read("binary_images")
    train = images.filter(pl.col("part") == "train")
    assert images["part"].to_list() == [part_of(image) for image in images["image_id"]]
    for label in (0, 1):
        halves = images.filter(pl.col("label") == label)["part"].value_counts()["count"].to_list()
        assert min(halves) > 35
    for label, count in ((0, row["photographs"]), (1, row["generated"])):
        of_class = len(train.filter(pl.col("label") == label))
        assert count == of_class - -(-of_class // 8)
    # Crops of images smaller than 256 px are the whole image, and only of the part `train`.
    crops = context.store.read("binary_crops")
    assert sorted(crops["image_id"]) == sorted(train["image_id"])
    with Image.open(io.BytesIO(crops["png"][0])) as crop:
        assert crop.size == (80, 80)

    weights = binary_weights(context)
    assert weights == {"binary": context.home.binaries / row["network"] / "binary.safetensors"}
    assert BinaryDetector.load("binary", weights["binary"]).version == row["network"]
    assert read_header(weights["binary"]).provenance["settings"]["config"]["alpha"] == 0.05
    for count in (_binary_images, _binary_crops):
        into, out, quarantined = count(context.store, context.home)
        assert into == out + quarantined


def test_a_detector_for_each_generator_never_sees_it(context: Context, tmp_path: Path) -> None:
    register(context, tmp_path / "images", ("GenA", "genB"))
    for image in range(12):  # the same generator in another set, under another case
        picture(tmp_path / "more", f"gena/1_fake/{image}.png", True, 5000 + image)
    add_dataset(context.home, "more", Dataset(source=str(tmp_path / "more"), use=["train"]))
    settings(context, mode="leave_one_generator_out", alpha=0)
    started: list[Mapping[str, Any]] = []
    rows = {row["detector"]: row for row in run(context, started).to_dicts()}
    assert {name: (row["left_out"], row["seen"], row["alpha"]) for name, row in rows.items()} == {
        "binary_not_set_gena": ("set.GenA", "set.genB", 0.0),
        "binary_not_more_gena": ("more.gena", "set.genB", 0.0),
        "binary_not_set_genb": ("set.genB", "more.gena+set.GenA", 0.0),
    }
    # Both sets' images of it are left out, so it is one network.
    assert rows["binary_not_set_gena"]["network"] == rows["binary_not_more_gena"]["network"]
    assert [job["left_out"] for job in started] == ["gena", "genb"]
    train = context.store.read("binary_images").filter((pl.col("part") == "train") & (pl.col("label") == 1))
    of_b = len(train.filter(pl.col("generator") == "genB"))
    assert rows["binary_not_set_gena"]["generated"] == of_b - -(-of_b // 8)


def test_a_network_that_is_finished_is_not_trained_again(context: Context, tmp_path: Path) -> None:
    register(context, tmp_path / "images", ("a", "b"), each=40)
    settings(context, mode="leave_one_generator_out")
    whole: list[Mapping[str, Any]] = []
    first = run(context, whole)
    Path(whole[1]["out"], "metrics.json").unlink()
    again: list[Mapping[str, Any]] = []
    binary_networks.materialise(Context(context.home, launch=trainer(again)))
    assert [job["left_out"] for job in again] == ["b"]
    assert context.store.read("binary_networks").equals(first)
    Path(whole[0]["out"], "binary.safetensors").unlink()
    assert not binary_networks.is_current(context)


def test_one_generator_cannot_be_left_out_of_one(context: Context, tmp_path: Path) -> None:
    register(context, tmp_path / "images", ("a",), each=20)
    settings(context, mode="leave_one_generator_out")
    with pytest.raises(UserError, match="register sets of more generators"):
        run(context)


def test_a_size_other_than_the_backbones_is_refused(context: Context, tmp_path: Path) -> None:
    register(context, tmp_path / "images", ("a",), each=20)
    settings(context, preset="full")
    with pytest.raises(UserError, match='preset = "compact" in '):
        run(context)


def test_what_cannot_be_used_is_quarantined_and_counted(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for image in range(12):
        picture(folder, f"a/0_real/{image}.png", False, image)
    (folder / "a/0_real/copy.png").write_bytes((folder / "a/0_real/0.png").read_bytes())
    (folder / "b/1_fake").mkdir(parents=True)
    (folder / "b/1_fake/claimed.png").write_bytes((folder / "a/0_real/1.png").read_bytes())
    (folder / "b/1_fake/text.png").write_text("text")
    seed = 0
    while part_of(content_of(picture(folder, "b/1_fake/small.png", True, seed, side=62))) != "train":
        seed += 1
    add_dataset(context.home, "set", Dataset(source=str(folder), use=["train"]))
    for each in (binary_images, binary_crops):
        each.materialise(context)
    refused = {
        row["uri"]: (row["stage"], row["reason"])
        for row in context.store.read("quarantine", ["binary_images", "binary_crops"]).to_dicts()
    }
    assert refused == {
        "a/0_real/copy.png": ("binary_images", "same_content"),
        "a/0_real/1.png": ("binary_images", "contradictory"),
        "b/1_fake/claimed.png": ("binary_images", "contradictory"),
        "b/1_fake/text.png": ("binary_images", "not_an_image"),
        "b/1_fake/small.png": ("binary_crops", "too_small"),
    }
    for count in (_binary_images, _binary_crops):
        into, out, quarantined = count(context.store, context.home)
        assert into == out + quarantined


@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::DeprecationWarning")
def test_the_assets_train_in_a_process_of_their_own(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(context, tmp_path / "images", ("a",), each=40)
    settings(context, steps=1)
    monkeypatch.setenv("SDAIE_HOME", str(context.home.path))
    with dg.DagsterInstance.from_config(str(prepare(context.home))) as instance:
        done = dg.materialize([to_asset(each) for each in STAGES], instance=instance)
    assert done.success
    shown = done.asset_materializations_for_node("binary_networks")[0].metadata
    assert shown["networks"].value == 1
    assert 0 <= float(str(shown["validation_accuracy_binary"].value)) <= 1
    assert all(each.is_current(context) for each in STAGES)


def test_an_imported_binary_detector_stands_beside(context: Context, tmp_path: Path) -> None:
    file = write_published(tmp_path / "net.pth", BinaryNetwork(PRESETS["full"]))
    identity = import_backbone(context.home, file).identity
    for table in ("pretext_targets", "crops"):
        context.store.write(table, frame(table, []))
    backbone.materialise(context)
    (row,) = run(context).to_dicts()
    assert row == dict.fromkeys(row) | {"detector": "binary_published", "network": identity, "backbone": identity}
    (name, path), *others = binary_weights(context).items()
    assert not others
    assert name == "binary_published"
    assert BinaryDetector.load(name, path).version == identity
    assert load_backbone(path.with_name("backbone.safetensors")).header.origin == "imported"


def test_names_of_detectors_are_names_and_all_different() -> None:
    keys = ["set.SD_v1-4", "set.sd_v1-4", "a_b.c", "a.b_c", f"{'s' * 64}.{'g' * 80}x", f"{'s' * 64}.{'g' * 80}y"]
    names = detector_names(keys)
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert TypeAdapter(Name).validate_python(name) == name
    assert detector_names(["dev.SD_v1-4"]) == {"dev.SD_v1-4": "binary_not_dev_sd_v1-4"}
