"""Detectors of pixels from the registry to scored images, on a small set and real files."""

import dataclasses
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.benchmark_images import benchmark_images
from assets.benchmark_scores import benchmark_scores
from assets.detectors import DETECTORS
from assets.other_detectors import other_detectors
from assets.pixel_detectors import PixelDetector
from assets.pixel_scores import benchmark_pixel_scores, reference_pixel_scores
from models.one_class import ReferenceFeatures, fit_complexity
from tests.assets.small_home import IN_A_FOLD, SmallHome, picture
from warehouse.home import Home, UserError
from warehouse.schema import TABLES
from warehouse.store import Store

MINE = "[detectors.mine]\nclass = 'bright:Brightness'\n"
REAL, FAKE = "set.real", "set.gan"
TRACKS = ("as_shipped", "format_matched")


def calls(module: str = "bright") -> list[tuple[str, str, str]]:
    """What the plug-in was asked since the last time: image, track, perturbation."""
    asked: list[tuple[str, str, str]] = sys.modules[module].CALLS
    made = list(asked)
    asked.clear()
    return made


def scored(small: SmallHome, partition: str = FAKE) -> str:
    """Score the partition; the digest of the table."""
    small.run(benchmark_images, partition)
    return small.run(benchmark_pixel_scores, partition).digest


def files(home: Home, partition: str = FAKE) -> list[bytes]:
    return [path.read_bytes() for path in Store(home.tables).paths("pixel_scores", [partition])]


def table(small: SmallHome, name: str, partition: str) -> pl.DataFrame:
    return small.context().store.read(name, [partition])


@pytest.fixture
def mine(small: SmallHome) -> SmallHome:
    """The small home with a plug-in registered."""
    small.plug_in("bright")
    small.register(MINE)
    return small


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few images a shard that a set of a few images has several."""
    monkeypatch.setitem(TABLES, "pixel_scores", dataclasses.replace(TABLES["pixel_scores"], shard_rows=1))


def fit_ours(small: SmallHome) -> None:
    """Stand-ins for what comes from features: each of these is the complexity, fitted on numbers."""
    numbers = np.arange(50.0)[:, None]
    references = {track: ReferenceFeatures(numbers, np.arange(50) % 5, np.arange(50)) for track in TRACKS}
    rows = []
    for name in DETECTORS:
        detector = fit_complexity(name, references, fpr=0.2)
        identity = detector.digest()[:16]
        detector.save(small.home.detectors / identity)
        rows += [{"detector": name, "track": track, "detector_id": identity, "threshold": 40.0} for track in TRACKS]
    small.write("detectors", rows)
    small.write("photo_scores", [])
    for role in ("trained", "untrained"):
        small.write("backbones", [{"role": role, "backbone": role}], role)
    for partition in (REAL, FAKE):
        images = table(small, "benchmark_images", partition)["image_id"]
        keys = [
            {"dataset": "set", "backbone": "trained", "track": track, "perturbation": perturbation, "image_id": image}
            for track in TRACKS
            for perturbation in ("none", "jpeg_75")
            for image in images
        ]
        small.write("benchmark_features", [row | {"complexity": 60.0} for row in keys], partition)


def test_a_class_of_others_is_measured_from_the_registry_to_the_scores(mine: SmallHome) -> None:
    for partition in (REAL, FAKE):
        scored(mine, partition)
    mine.run(reference_pixel_scores)
    fit_ours(mine)
    mine.run(other_detectors)
    for partition in (REAL, FAKE):
        mine.run(benchmark_scores, partition)

    reference = table(mine, "pixel_scores", "reference")
    assert set(reference["dataset"]) == {"photographs"}
    assert len(reference) == 2 * IN_A_FOLD * len(TRACKS) * 2
    photo_scores = table(mine, "photo_scores", "others").filter(pl.col("detector") == "mine")
    calibration = photo_scores.filter(pl.col("fold") == 4, pl.col("track") == "format_matched")["score"]
    row, *_ = table(mine, "detectors", "others").filter(detector="mine", track="format_matched").to_dicts()
    # One of four may lie above a threshold for a rate of 1/4 among four: 1 of 5 ranks.
    assert (row["threshold"], row["threshold_from"], row["n_calibration"]) == (calibration.max(), "calibration", 4)
    assert (row["family"], row["detector_version"], row["n_fit"], row["seen"]) == ("mine", "1", 0, None)

    said = table(mine, "benchmark_scores", FAKE).filter(detector="mine", track="format_matched")
    judged = said.filter(pl.col("score").is_not_null())
    assert len(judged) == 2
    assert judged["flagged"].all()
    assert judged["p_value"].to_list() == [0.2, 0.2]
    assert set(judged["detector_id"]) == {row["detector_id"]}
    assert said.filter(pl.col("score").is_null())["reason"].to_list() == ["smaller_than_256"]
    real = table(mine, "benchmark_scores", REAL)
    assert set(real["detector"]) == {*DETECTORS, "jpeg_history", "mine"}
    assert not real.filter(pl.col("detector") == "mine")["flagged"].all()
    ours = real.filter(detector="complexity", track="as_shipped")
    assert len(ours) == 2 * 3
    assert ours["flagged"].all()


def test_every_condition_of_the_grid_is_asked_once(mine: SmallHome) -> None:
    mine.settings = mine.settings.replace("'none'", "'default'")
    mine.register(MINE)
    scored(mine)
    images = table(mine, "benchmark_images", FAKE)
    large = images.filter(pl.col("width") == 260)["image_id"]
    asked = calls()
    assert len(asked) == len(set(asked)) == len(images) + 6 * len(large)
    rows = table(mine, "pixel_scores", FAKE).filter(detector="mine")
    assert len(rows) == len(images) * 7
    matched = rows.filter(pl.col("track") == "format_matched", pl.col("image_id").is_in(large.implode()))
    assert matched.group_by("image_id").agg(pl.col("score").n_unique())["score"].min() == 6
    # A set of the open web has another track in place of the first, and is judged by the same calibration.
    mine.settings = mine.settings.replace("source = 'set'\n", "source = 'set'\nwild = true\n")
    mine.register(MINE)
    scored(mine)
    assert set(table(mine, "pixel_scores", FAKE)["track"]) == {"in_the_wild", "format_matched"}
    assert {track for _, track, _ in calls()} == {"in_the_wild"}


@pytest.mark.usefixtures("small_shards")
def test_one_image_more_costs_one_image(mine: SmallHome, tmp_path: Path) -> None:
    for number in range(10, 15):
        picture(mine.set / "gan" / "1_fake" / f"{number}.png", number)
    scored(mine)
    assert len({image for image, *_ in calls()}) == 8
    assert len(files(mine.home)) > 4
    new = picture(mine.set / "gan" / "1_fake" / "new.png", 99)
    scored(mine)
    assert {image for image, *_ in calls()} == {new}

    assert files(mine.home) == from_scratch(mine)


def from_scratch(small: SmallHome, partition: str = FAKE) -> list[bytes]:
    """The same home without its scores, scored at once."""
    folder = small.home.tables / "pixel_scores"
    aside = folder.with_name("aside")
    folder.rename(aside)
    scored(small, partition)
    made = files(small.home, partition)
    assert {image for image, *_ in calls()} == set(table(small, "benchmark_images", partition)["image_id"])
    return made


def test_a_new_detector_and_a_new_version_compute_only_themselves(mine: SmallHome) -> None:
    scored(mine)
    calls()
    mine.plug_in("second")
    mine.register(MINE + "[detectors.other]\nclass = 'second:Brightness'\n")
    scored(mine)
    assert calls() == []
    assert {image for image, *_ in calls("second")} == set(table(mine, "benchmark_images", FAKE)["image_id"])
    mine.plug_in("third", version="2")
    mine.register(MINE.replace("bright:", "third:") + "[detectors.other]\nclass = 'second:Brightness'\n")
    scored(mine)
    assert calls("second") == []
    assert len(calls("third")) > 0
    mine.register(MINE)
    scored(mine)
    assert calls() == []
    assert set(table(mine, "pixel_scores", FAKE)["detector"]) == {"jpeg_history", "mine"}
    assert files(mine.home) == from_scratch(mine)


def test_a_champion_that_a_newer_one_follows_is_not_asked_again(
    mine: SmallHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked as the newest one, under that name."""
    mine.plug_in("newer", version="2")
    first = PixelDetector("combined", "1", "combined", "", "bright:Brightness", part="combined")
    second = PixelDetector("combined", "2", "combined", "", "newer:Brightness", part="combined")
    before = dataclasses.replace(first, name="combined_before")
    monkeypatch.setattr("assets.pixel_scores.pixel_detectors", lambda context: [])
    monkeypatch.setattr("assets.pixel_scores.detectors_on_squares", lambda context: [first])
    scored(mine)
    old = table(mine, "pixel_scores", FAKE)
    assert len(calls()) > 0
    monkeypatch.setattr("assets.pixel_scores.detectors_on_squares", lambda context: [second, before])
    scored(mine)
    assert calls() == []
    assert len(calls("newer")) > 0
    new = table(mine, "pixel_scores", FAKE)
    assert new.filter(detector="combined_before").drop("detector").equals(old.drop("detector"))
    assert set(new["detector"]) == {"combined", "combined_before"}


@pytest.mark.usefixtures("small_shards")
def test_a_killed_run_goes_on_to_the_same_bytes(mine: SmallHome, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(mine)
    undisturbed = files(mine.home)
    everything = calls()
    folder = mine.home.tables / "pixel_scores"
    folder.rename(folder.with_name("undisturbed"))
    kind = sys.modules["bright"].Brightness
    score = kind.score

    def killed(self: Any, images: Any) -> Any:
        if len(sys.modules["bright"].CALLS) == 3:
            raise KeyboardInterrupt
        return score(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            scored(mine)
    before = calls()
    scored(mine)
    assert files(mine.home) == undisturbed
    # What a finished shard has is not asked again.
    assert len(before) == 3
    assert len(calls()) < len(everything)


def test_forced_everything_is_asked_again(mine: SmallHome) -> None:
    scored(mine)
    first = calls()
    benchmark_pixel_scores.materialise(dataclasses.replace(mine.context(FAKE), force=True))
    assert sorted(calls()) == sorted(first)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("raise RuntimeError('out of memory')", "RuntimeError: out of memory"),
        ("return [1.0, 2.0]", r"scores of shape \(2,\) for one image"),
        ("return 1.0", r"scores of shape \(\)"),
        ("return ['high']", "ValueError: could not convert"),
        ("return [float('inf')]", "an infinite score"),
    ],
)
def test_a_detector_that_fails_is_named(small: SmallHome, answer: str, said: str) -> None:
    code = f"class Bad:\n    name, version = 'bad', '1'\n    def score(self, images): {answer}\n"
    (small.home.path / "bad.py").write_text(code)
    small.register("[detectors.mine]\nclass = 'bad:Bad'\n")
    with pytest.raises(UserError, match=rf"^the detector mine on [0-9a-f]{{12}} \(as_shipped, none\): {said}"):
        scored(small)


def test_a_detector_that_cannot_tell_has_no_score_and_its_own_threshold_is_kept(small: SmallHome) -> None:
    code = (
        "class Nan:\n    name, version, threshold = 'n', '1', 3\n    def score(self, images): return [float('nan')]\n"
    )
    (small.home.path / "cannot.py").write_text(code)
    small.register("[detectors.mine]\nclass = 'cannot:Nan'\n")
    scored(small)
    small.run(reference_pixel_scores)
    small.run(other_detectors)
    rows = table(small, "pixel_scores", FAKE).filter(detector="mine", track="as_shipped")
    assert set(rows["reason"]) == {"no_score"}
    own = table(small, "detectors", "others").filter(detector="mine").to_dicts()
    assert {(row["threshold"], row["threshold_from"], row["n_calibration"]) for row in own} == {(3.0, "detector", 0)}
    assert {row["false_positive_rate"] for row in own} == {None}
    small.settings = small.settings.replace("0.25", "0.01")
    small.register("[detectors.mine]\nclass = 'cannot:Nan'\n")
    small.run(other_detectors)
    history = table(small, "detectors", "others").filter(detector="jpeg_history").to_dicts()
    # Four photographs are too few for one in a hundred: there is no threshold, and p-values all the same.
    assert {(row["threshold"], row["threshold_from"], row["n_calibration"]) for row in history} == {(None, None, 4)}
    assert table(small, "photo_scores", "others")["p_value"].null_count() == 0


def test_what_cannot_be_decoded_is_quarantined_and_counted(mine: SmallHome) -> None:
    whole = mine.set / "gan" / "1_fake" / "0.png"
    whole.write_bytes(whole.read_bytes()[:2000])
    scored(mine)
    refused = table(mine, "quarantine", f"pixel_scores.{FAKE}").to_dicts()
    assert [(row["uri"], row["reason"]) for row in refused] == [("gan/1_fake/0.png", "corrupt")]
    assert table(mine, "pixel_scores", FAKE)["image_id"].n_unique() == 2


class Binary:
    """In place of a trained network: it says how many images it was asked."""

    threshold = 0.0

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.version = name, path.parent.name

    @classmethod
    def load(cls, name: str, path: Path) -> "Binary":
        return cls(name, path)

    def score(self, images: Any) -> list[float]:
        return [1.0 for _ in images]


def test_a_binary_detector_does_not_judge_what_it_was_trained_on(
    small: SmallHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("models.binary_detector")
    monkeypatch.setattr(module, "BinaryDetector", Binary, raising=False)
    monkeypatch.setitem(sys.modules, "models.binary_detector", module)
    small.run(benchmark_images, FAKE)
    trained, kept = sorted(table(small, "benchmark_images", FAKE).filter(width=260)["image_id"])
    common = {"dataset": "set", "generator": "gan", "label": 1}
    parts = [{"image_id": trained, "part": "train"}, {"image_id": kept, "part": "evaluate"}]
    small.write("binary_images", [common | part for part in parts])
    network = {"backbone": "b", "alpha": 0.05}
    small.write(
        "binary_networks",
        [
            network | {"detector": "binary", "network": "n1", "seen": "set.gan", "left_out": None},
            network | {"detector": "binary_not_gan", "network": "n2", "seen": "set.sd", "left_out": "set.gan"},
            network | {"detector": "binary_not_sd", "network": "n3", "seen": "set.gan", "left_out": "set.sd"},
        ],
    )
    small.run(benchmark_pixel_scores, FAKE)
    rows = table(small, "pixel_scores", FAKE).filter(track="as_shipped")
    reasons = {name: dict(part.select("image_id", "reason").iter_rows()) for (name,), part in rows.group_by("detector")}
    assert [reasons[name][trained] for name in ("binary", "binary_not_gan", "binary_not_sd")] == [
        "trained_on",
        None,
        "trained_on",
    ]
    assert {reasons[name][kept] for name in reasons} == {None}
    small.run(reference_pixel_scores)
    small.run(other_detectors)
    row, *_ = table(small, "detectors", "others").filter(detector="binary_not_gan").to_dicts()
    assert (row["family"], row["seen"], row["detector_version"]) == ("binary", "set.sd", "n2")
    assert (row["threshold"], row["threshold_from"], row["backbone"]) == (0.0, "detector", "b")

    # The same generator in another set: who was not to see the one has not seen the other.
    small.write("binary_images", [common | {"dataset": "elsewhere", "generator": "GAN"} | parts[0]])
    small.run(benchmark_pixel_scores, FAKE)
    rows = table(small, "pixel_scores", FAKE).filter(track="as_shipped", image_id=trained)
    assert dict(rows.filter(pl.col("detector").str.starts_with("binary")).select("detector", "reason").iter_rows()) == {
        "binary": "trained_on",
        "binary_not_gan": None,
        "binary_not_sd": "trained_on",
    }

    # Once it is no longer trained on, it is judged; what was judged is not asked for once it is.
    small.write("binary_images", [common | {"image_id": kept, "part": "train"}])
    small.run(benchmark_pixel_scores, FAKE)
    rows = table(small, "pixel_scores", FAKE).filter(track="as_shipped", detector="binary")
    assert dict(rows.select("image_id", "reason").iter_rows()) | {trained: None} == {
        image: ("trained_on" if image == kept else None) for image in rows["image_id"]
    }
