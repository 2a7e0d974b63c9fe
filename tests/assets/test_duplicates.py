from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from assets.benchmark_images import benchmark_images
from assets.checks import near_duplicates_seen
from assets.corpus import photos
from assets.crawl import files
from assets.duplicates import benchmark_hashes, near_duplicates, photo_hashes
from assets.stage import Context
from warehouse.file_facts import look
from warehouse.home import Home
from warehouse.registry import Corpus, Dataset, add_corpus, add_dataset
from warehouse.shards import frame

RNG = np.random.default_rng(0)


def picture() -> Image.Image:
    """Coarse colours, so that a hash has something to go by."""
    coarse = Image.fromarray(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return coarse.resize((160, 120), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: Any) -> str:
    """The SHA-256 of the file that is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return look(path.read_bytes()).sha256


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A corpus of three photographs and something broken; a set with one of them again, smaller and as WebP."""
    seen = picture()
    save(seen, tmp_path / "corpus" / "seen.jpg", quality=92)
    save(picture(), tmp_path / "corpus" / "other.jpg")
    save(Image.new("RGB", (64, 64), (9, 9, 9)), tmp_path / "corpus" / "black.png")
    whole = (tmp_path / "corpus" / "other.jpg").read_bytes()
    (tmp_path / "corpus" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    save(seen.resize((80, 60)), tmp_path / "set" / "gan" / "0_real" / "again.webp", quality=90)
    save(picture(), tmp_path / "set" / "gan" / "1_fake" / "new.png")
    save(Image.new("RGB", (64, 64), (9, 9, 9)), tmp_path / "set" / "gan" / "1_fake" / "black.jpg")
    home = Home(tmp_path / "home")
    add_corpus(home, "mine", Corpus(source=str(tmp_path / "corpus")))
    add_dataset(home, "dev", Dataset(source=str(tmp_path / "set")))
    monkeypatch.setenv("SDAIE_HOME", str(home.path))
    Context(home).store.write("binary_images", frame("binary_images", []))
    return home


def run(home: Home) -> list[dict[str, object]]:
    files.materialise(Context(home, "mine"))
    photos.materialise(Context(home))
    photo_hashes.materialise(Context(home))
    for partition in Context(home).benchmark_partitions():
        benchmark_images.materialise(Context(home, partition))
        benchmark_hashes.materialise(Context(home, partition))
    near_duplicates.materialise(Context(home))
    return Context(home).store.read("near_duplicates").to_dicts()


def checked() -> dg.AssetCheckResult:
    result = near_duplicates_seen()
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_a_picture_seen_before_in_another_file_is_named(home: Home, tmp_path: Path) -> None:
    (pair,) = run(home)
    assert pair.pop("distance") in range(7)
    assert pair == {
        "dataset": "dev",
        "image_id": look((tmp_path / "set/gan/0_real/again.webp").read_bytes()).sha256,
        "photo_id": look((tmp_path / "corpus/seen.jpg").read_bytes()).sha256,
        "uri": "gan/0_real/again.webp",
        "generator": "real",
        "corpus": "mine",
        "photo_uri": "seen.jpg",
    }
    result = checked()
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["pairs"].value == 1
    assert "dev/gan/0_real/again.webp and mine/seen.jpg" in str(result.metadata["nearest"].value)


def test_what_cannot_be_decoded_or_is_plain_has_no_hash_and_is_counted(home: Home) -> None:
    files.materialise(Context(home, "mine"))
    photos.materialise(Context(home))
    _, product = photo_hashes.materialise(Context(home))
    assert product.numbers == {"hashed": 2, "not_hashed": 2}
    hashes = Context(home).store.read("perceptual_hashes")
    assert hashes.select("dataset", "uri").sort("uri").rows() == [("photos", "other.jpg"), ("photos", "seen.jpg")]


def test_the_same_bytes_are_no_near_duplicate(home: Home, tmp_path: Path) -> None:
    again = tmp_path / "set" / "gan" / "0_real" / "again.webp"
    again.unlink()
    again.with_suffix(".jpg").write_bytes((tmp_path / "corpus" / "seen.jpg").read_bytes())
    assert run(home) == []
    assert checked().passed


def test_images_that_train_the_binary_detector_count_as_seen(home: Home, tmp_path: Path) -> None:
    """Half of a set trains: the other half is compared with it, and it with nothing."""
    fake = picture()
    trained = save(fake, tmp_path / "set" / "gan" / "1_fake" / "train.png")
    judged = save(fake, tmp_path / "set" / "gan" / "1_fake" / "judged.jpg", quality=80)
    seen = look((tmp_path / "set/gan/0_real/again.webp").read_bytes()).sha256
    rows = [
        {"image_id": image_id, "dataset": "dev", "uri": uri, "generator": "gan", "label": 1, "part": part}
        for image_id, uri, part in (
            (trained, "gan/1_fake/train.png", "train"),
            (judged, "gan/1_fake/judged.jpg", "evaluate"),
            (seen, "gan/0_real/again.webp", "train"),
        )
    ]
    Context(home).store.write("binary_images", frame("binary_images", rows))
    (pair,) = run(home)
    assert (pair["image_id"], pair["photo_id"]) == (judged, trained)
    assert (pair["corpus"], pair["photo_uri"], pair["generator"]) == ("dev", "gan/1_fake/train.png", "gan")


def test_a_set_that_only_trains_is_not_judged(home: Home, tmp_path: Path) -> None:
    add_dataset(home, "dev", Dataset(source=str(tmp_path / "set"), use=["train"]))
    assert run(home) == []


def test_a_second_run_has_nothing_to_do_and_hashes_follow_the_registry(home: Home) -> None:
    run(home)
    assert near_duplicates.is_current(Context(home))
    assert photo_hashes.is_current(Context(home))
    store = Context(home).store
    assert store.partitions("perceptual_hashes") == ["dev.gan", "dev.real", "photos"]
    home.registry.write_text(home.registry.read_text().split("[datasets")[0])
    assert not near_duplicates.is_current(Context(home))
    assert run(home) == []
    assert store.partitions("perceptual_hashes") == ["photos"]


def test_the_check_names_at_most_twenty(home: Home) -> None:
    pairs = [
        {"dataset": "dev", "image_id": f"{n:02}", "photo_id": "a", "uri": f"{n}.png", "generator": "gan"}
        | {"corpus": "mine", "photo_uri": "a.jpg", "distance": n % 7}
        for n in range(30)
    ]
    Context(home).store.write("near_duplicates", frame("near_duplicates", pairs))
    result = checked()
    named = result.metadata["nearest"].value
    assert isinstance(named, list)
    assert len(named) == 20
    assert named[0] == "dev/0.png and mine/a.jpg (0 bits)"
    assert result.metadata["pairs"].value == 30
