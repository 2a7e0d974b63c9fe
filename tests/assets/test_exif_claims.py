"""EXIF against pixels, from held-out photographs to the judgement of one picture."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from torch import nn

from assets.answer_pages import shown_picture
from assets.backbone import TRAINED, WEIGHTS, backbone
from assets.camera_statistics import camera_statistics
from assets.claims import claims_of_home, claims_of_pictures, read_claims, reading_exif, typed_exif
from assets.detection import Answered, choose, detect
from assets.exif_claims import exif_claims
from assets.imports import import_backbone
from assets.pretext_outputs import pretext_outputs
from models.backbone import Backbone
from models.features import extract
from models.pretext import CATEGORICAL, PretextHeads, Vocabulary
from models.published import PublishedBackbone
from models.swaps import JOINT
from models.weights import Header, save_backbone, untrained
from tests.assets.small_home import SmallHome
from tests.models.published_files import write_published
from tests.small_detector import small_home
from warehouse.home import UserError
from warehouse.places import RefusedError

IDENTITY = "0123456789abcdef"
GROUPS, LEARNED, EACH = 8, 3, 8


def noisy(path: Path, seed: int, noise: float, side: int = 140) -> str:
    """Write a grey picture with noise of this deviation and give its SHA-256."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(128, noise, (side, side, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, compress_level=1)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def teach_noise(network: Backbone, heads: PretextHeads) -> None:
    """Make the head of ISO rank by noise, and all others say nothing."""
    rng = np.random.default_rng(3)
    levels = np.linspace(4, 68, 32)
    images = [rng.normal(128, level, (4, 64, 64, 3)).clip(0, 255).astype(np.uint8) for level in levels]
    features = extract(network.eval(), images).token0.astype(np.float64)
    rest = features - features.mean(axis=0)
    weights = rest.T @ np.linalg.solve(rest @ rest.T + np.eye(32), levels - levels.mean())
    for parameter in heads.parameters():
        nn.init.zeros_(parameter)
    iso = heads.linear["iso"]
    assert isinstance(iso, nn.Linear)
    iso.weight.data[0] = torch.from_numpy(weights).float()


@pytest.fixture
def held_out(small: SmallHome) -> SmallHome:
    """Photographs of 8 sources in folds 3 and 4, and of 3 in fold 0; the noisier, the higher the ISO; a backbone."""
    photos: list[dict[str, Any]] = []
    targets: list[dict[str, Any]] = []
    for number in range((GROUPS + LEARNED) * EACH):
        noise = 4 + number * 37 % 64
        # Each has the common size, but for one that is too small.
        photo_id = noisy(small.corpus / f"h{number}.png", number, noise, side=100 if number == 5 else 140)
        fold = 0 if number >= GROUPS * EACH else 3 + number // EACH % 2
        group = {"group": f"h{number // EACH}"}
        common = {"corpus": "photographs", "use": "train", "places": 1, "format": "PNG"}
        photos.append({"photo_id": photo_id, "uri": f"h{number}.png", **group, **common})
        claims = {"iso": 50.0 * noise, "make": "ab"[number % 2], "model": f"m{number % 3}"}
        targets.append({"photo_id": photo_id, **group, "fold": fold, **claims})
    small.write("photos", photos)
    small.write("pretext_targets", targets)
    vocabulary = Vocabulary({**dict.fromkeys(CATEGORICAL, ("a", "b")), "flash": ()})
    network = untrained("compact", seed=1)
    heads = PretextHeads(network.config.dimension, vocabulary)
    teach_noise(network, heads)
    header = Header("trained", "compact", network.config, vocabulary, {}, {})
    save_backbone(small.home.backbones / IDENTITY / WEIGHTS, network, heads, header)
    row = {"role": TRAINED, "origin": "trained", "backbone": IDENTITY, "preset": "compact", "parameters": 1}
    small.write("backbones", [{**row, "feature_dimension": network.config.dimension, "simulated_only": False}], TRAINED)
    for table in ("pretext_metrics", "training_curve"):
        small.write(table, [], TRAINED)
    return small


def test_held_out_photographs_become_a_measure_and_a_judge(held_out: SmallHome) -> None:
    store = held_out.context().store
    held_out.run(camera_statistics)
    assert len(store.read("camera_statistics")) == (GROUPS + LEARNED) * EACH - 1
    (refused,) = store.read("quarantine", ["camera_statistics"]).to_dicts()
    assert (refused["uri"], refused["reason"]) == ("h5.png", "too_small")

    held_out.run(pretext_outputs)
    said = store.read("pretext_outputs")
    assert len(said) == GROUPS * EACH - 1
    assert set(said["backbone"]) == {IDENTITY}
    assert store.read("quarantine", ["pretext_outputs"]).is_empty()

    held_out.run(exif_claims)
    rows = store.read("exif_claims")
    assert len(rows) == 2 * 3 * 15
    joints = rows.filter(tag=JOINT, swapped_with="another_source").sort("auroc").to_dicts()
    assert {row["read_by"] for row in joints} == {"heads", "statistics"}
    # What tells it better judges.
    assert [row["judges"] for row in joints] == [False, True]
    joint = joints[1]
    assert joint["sources"] == GROUPS
    assert joint["auroc"] > 0.6
    assert joint["auroc_low"] <= joint["auroc"] <= joint["auroc_high"]
    assert joint["own_05"] < joint["own_50"] < joint["own_95"]
    assert set(rows.filter(pl.col("auroc").is_not_null(), read_by="heads")["tag"]) == {"iso", JOINT}
    pairs = rows.filter(tag=JOINT, read_by="heads").select("swapped_with", "pairs").rows()
    assert dict(pairs)["another_model"] < dict(pairs)["another_source"] == dict(pairs)["same_corpus"]
    assert pretext_outputs.is_current(held_out.context())
    assert exif_claims.is_current(held_out.context())

    claims = claims_of_home(held_out.home)
    assert claims is not None
    assert claims.sources == GROUPS
    assert claims.measured[JOINT].value == joint["auroc"]
    pixels = np.asarray(Image.open(held_out.corpus / "h0.png"))
    assert {"iso", JOINT} <= {claim.tag for claim in claims.judge(pixels, {"iso": 200.0, "make": "a"})}
    held_out.home.claims(IDENTITY).unlink()
    assert not exif_claims.is_current(held_out.context())


def test_the_same_photographs_give_the_same_bytes(held_out: SmallHome) -> None:
    held_out.run(camera_statistics)
    held_out.run(pretext_outputs)
    first = held_out.run(exif_claims).digest, held_out.home.claims(IDENTITY).read_bytes()
    assert (held_out.run(exif_claims).digest, held_out.home.claims(IDENTITY).read_bytes()) == first


def test_the_page_holds_exif_against_the_pixels_of_each_picture(held_out: SmallHome, tmp_path: Path) -> None:
    held_out.run(camera_statistics)
    held_out.run(pretext_outputs)
    held_out.run(exif_claims)
    answering = small_home(tmp_path / "answering")
    files = []
    for name, iso in (("true", 400), ("swapped", 3200), ("bare", None)):
        noisy(tmp_path / f"{name}.png", 7, 8, side=260)
        exif = Image.Exif()
        if iso is not None:
            exif.get_ifd(0x8769)[0x8827] = iso
        with Image.open(tmp_path / f"{name}.png") as picture:
            picture.save(tmp_path / f"{name}.jpg", exif=exif, quality=100, subsampling=0)
        files.append(tmp_path / f"{name}.jpg")
    chosen = choose(answering)
    answered = list(detect(chosen, files, show=True))
    with claims_of_pictures(chosen, held_out.home) as claims:
        true, swapped, bare = (shown_picture(each, claims).claims for each in answered)
        assert true[0].sentence.startswith("ISO 400: plausible, ")
        assert not any(claim.against for claim in true)
        assert swapped[0].sentence.startswith("ISO 3200: the pixels speak against it, ")
        assert swapped[0].against
        assert bare == ()
        # Another file stands there now.
        files[0].write_bytes(files[1].read_bytes())
        assert list(claims(answered[0])) == []
        assert list(claims(Answered(answered[1].answer))) == []
    with claims_of_pictures(chosen, answering) as nothing:
        assert list(nothing(answered[1])) == []


def test_one_source_teaches_nothing(held_out: SmallHome) -> None:
    targets = held_out.context().store.read("pretext_targets")
    held_out.write("pretext_targets", targets.filter(pl.col("group") == "h0").to_dicts())
    held_out.run(camera_statistics)
    held_out.run(pretext_outputs)
    held_out.run(exif_claims)
    assert held_out.context().store.read("exif_claims").is_empty()
    assert exif_claims.is_current(held_out.context())
    assert claims_of_home(held_out.home) is None


def test_beside_heads_without_names_statistics_judge_alone(held_out: SmallHome, tmp_path: Path) -> None:
    import_backbone(held_out.home, write_published(tmp_path / "net.pth", PublishedBackbone()))
    held_out.write("crops", [])
    for stage in (backbone, camera_statistics, pretext_outputs, exif_claims):
        held_out.run(stage)
    assert held_out.context().store.read("pretext_outputs").is_empty()
    rows = held_out.context().store.read("exif_claims")
    assert set(rows["read_by"]) == {"statistics"}
    assert rows["judges"].all()
    claims = claims_of_home(held_out.home)
    assert claims is not None
    assert claims.reader.kind == "statistics"


def test_a_file_that_is_not_whole_is_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.safetensors"
    with pytest.raises(UserError, match="is not whole"):
        read_claims(path)
    path.write_bytes(b"half of it")
    with pytest.raises(UserError, match="is not whole"):
        read_claims(path)


def test_typed_exif_of_one_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "NIKON CORPORATION"
    exif.get_ifd(0x8769).update({0x8827: 800, 0x829A: IFDRational(1, 250)})
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    row = typed_exif(data)
    assert (row["iso"], row["exposure_time_s"], row["f_number"]) == (800, 0.004, None)
    assert str(row["make"]).lower() == "nikon"
    with reading_exif() as read:
        with pytest.raises(RefusedError):
            read(bytes(range(1, 40)))
        assert read(data) == row
