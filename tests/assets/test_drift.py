"""Drift on a small home: a real champion judges real pictures; the tables before it are written by hand."""

import dataclasses
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image

from assets import drift as module
from assets.checks import retraining_due
from assets.drift import JUDGED, drift
from assets.stage import Product, to_asset
from models.combined import CombinedDetector, calibrate
from models.mixture import CANDIDATES
from models.squares import squares
from pipelines.instance import prepare
from tests.assets.scored_home import rows_of
from tests.assets.small_home import SmallHome
from tests.models.small_detector import texture
from tests.small_detector import untrained_part
from warehouse.home import write_text
from warehouse.schema import CATEGORICAL_COLUMNS, RANKED_COLUMNS, TABLES

Row = dict[str, Any]
EXIF: Row = {column.name: "auto" for column in CATEGORICAL_COLUMNS} | {column.name: 1.0 for column in RANKED_COLUMNS}
BEFORE = 100


class ChampionsHome(SmallHome):
    """A home whose champion was made from 100 photographs of a Canon, of which no pixels are there."""

    def __init__(self, path: Path, detector: CombinedDetector) -> None:
        super().__init__(path)
        self.register("[compute]\nworkers = 1\n")
        self.corpus.mkdir()
        self.detector = detector
        self.photos: list[Row] = []
        self.exif: list[Row] = []
        for number in range(BEFORE):
            self.add(f"{number:064x}", f"gone/{number}.png", f"g{number % 5}", "Canon")
        self.write("champion_photographs", [self.key | {"photo_id": row["photo_id"]} for row in self.photos], self.name)
        self.save()
        file = self.home.detector_file(self.name)
        file.parent.mkdir(parents=True)
        file.write_bytes(detector.to_bytes())
        write_text(self.home.champion, json.dumps(self.key))

    @property
    def name(self) -> str:
        return self.detector.identity

    @property
    def key(self) -> Row:
        return {"detector_id": self.name}

    def add(self, photo_id: str, uri: str, group: str, make: str) -> None:
        common = {"corpus": "photographs", "use": "reference", "places": 1}
        self.photos.append({"photo_id": photo_id, "uri": uri, "group": group, **common})
        self.exif.append({**EXIF, "photo_id": photo_id, "make": make, "model": f"{make} One"})

    def comes_in(self, number: int, make: str = "Canon", group: str = "new", noise: float = 6) -> None:
        """One more photograph, like those that the champion is calibrated on, or noisier."""
        file = self.corpus / f"{number}.png"
        Image.fromarray(texture(np.random.default_rng(1000 + number), noise)).save(file, compress_level=1)
        self.add(hashlib.sha256(file.read_bytes()).hexdigest(), file.name, group, make)

    def save(self) -> None:
        """Write what stands for the stages before."""
        self.context().store.write("photos", rows_of("photos", self.photos))
        self.context().store.write("exif", rows_of("exif", self.exif))
        self.write("exif_issues", [])

    def drift(self) -> Product:
        _, product = drift.materialise(self.context())
        return product

    def found(self) -> dict[tuple[str, str], Row]:
        rows = self.context().store.read("drift").iter_rows(named=True)
        return {(row["measure"], row["subject"]): row for row in rows}


@pytest.fixture(scope="module")
def detector() -> CombinedDetector:
    rng = np.random.default_rng(0)
    seen = [squares(texture(rng)) for _ in range(32)]
    part = untrained_part("untrained", seen[:12], CANDIDATES[0])
    return calibrate([part], seen[12:], name="textures", sources=4)


@pytest.fixture
def home(tmp_path: Path, detector: CombinedDetector, monkeypatch: pytest.MonkeyPatch) -> ChampionsHome:
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("SDAIE_HOME", str(path))
    return ChampionsHome(path, detector)


def test_where_nothing_came_in_nothing_is_due(home: ChampionsHome) -> None:
    product = home.drift()
    assert product.numbers == {"new_photographs": 0, "share_new": 0.0, "judged": 0, "due": 0}
    found = home.found()
    assert not any(row["due"] for row in found.values())
    assert found["new_photographs", "all"]["reason"].startswith("0 of 100 photographs (0.0%) are new")
    assert found["retraining", "all"]["champion"] == home.name
    assert drift.is_current(home.context())


def test_a_corpus_of_another_make_is_named_and_makes_retraining_due(
    home: ChampionsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They have no pixels to judge, which is no matter here, and for speed few are chosen.
    monkeypatch.setattr(module, "JUDGED", 2)
    for number in range(50):
        home.add(f"f{number:063x}", f"new/{number}.png", "new", "Zenith")
        home.exif[-1]["iso"] = None
    home.save()
    product = home.drift()
    found = home.found()
    assert product.numbers["due"] == 1
    assert (found["unseen_make", "all"]["count_now"], found["unseen_make", "all"]["of_now"]) == (50, 50)
    assert "Zenith (50)" in found["unseen_make", "all"]["reason"]
    assert "Zenith Zenith One (50)" in found["unseen_model", "all"]["reason"]
    said = "due by new_photographs, unseen_make, unseen_model, missing_tag iso"
    assert found["retraining", "all"]["reason"] == said
    assert not found["missing_tag", "flash"]["due"]
    assert 1000 < len(product.pictures["missing_tags"]) < 60_000
    check = retraining_due()
    assert isinstance(check, dg.AssetCheckResult)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["verdict"].value == said
    assert check.metadata["new_photographs"].value == 50


def test_new_photographs_are_judged_once_and_counted(home: ChampionsHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JUDGED", 24)
    for number in range(22):
        home.comes_in(number, group=f"new{number % 3}", noise=40)
    home.add("e" * 64, "gone.png", "alone", "Canon")
    for number in range(6):
        home.add(f"f{number:063x}", f"none/{number}.png", "late", "Canon")
    home.save()
    product = home.drift()
    found, store = home.found(), home.context().store
    sample = {subject: row["count_now"] for (measure, subject), row in found.items() if measure == "score_sample"}
    refused = store.read("quarantine", ["drift_scores"])
    assert product.numbers["new_photographs"] == 29 == sum(sample.values())
    assert sample["not_chosen"] == 5
    assert sample["not_decoded"] == len(refused) == 24 - sample["judged"]
    assert set(refused["reason"]) == {"missing"}
    scores = store.read("drift_scores")
    assert len(scores) == sample["judged"] >= 15
    assert set(scores["detector_id"]) == {home.name}


def test_pictures_unlike_those_before_are_flagged(home: ChampionsHome) -> None:
    for number in range(20):
        home.comes_in(number, noise=40)
    home.save()
    home.drift()
    found, scores = home.found(), home.context().store.read("drift_scores")
    flagged = found["flagged", "all"]
    assert (flagged["count_now"], flagged["of_now"], flagged["due"]) == (20, 20, True)
    assert found["p_values", "all"]["p_value"] < 1e-6
    # As the champion itself says of one of them.
    one = home.photos[-1]
    with Image.open(home.corpus / one["uri"]) as image:
        said = home.detector.examine(np.asarray(image))
    row = scores.row(by_predicate=pl.col("photo_id") == one["photo_id"], named=True)
    assert row["score"] == pytest.approx(said.score)
    assert row["p_value"] == said.p_value


def test_answers_are_kept_and_a_run_again_makes_the_same_files(
    home: ChampionsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, "drift_scores", dataclasses.replace(TABLES["drift_scores"], shard_rows=4))
    for number in range(5):
        home.comes_in(number)
    home.save()
    home.drift()
    store = home.context().store
    before = {path.name for table in ("drift", "drift_scores") for path in store.paths(table)}
    drift.materialise(dataclasses.replace(home.context(), force=True))
    assert {path.name for table in ("drift", "drift_scores") for path in store.paths(table)} == before
    scores = store.read("drift_scores").sort("photo_id")
    for row in home.photos[BEFORE:]:
        # Whoever asked the champion of these again would find nothing.
        (home.corpus / row["uri"]).unlink()
    home.comes_in(5)
    home.save()
    home.drift()
    assert home.found()["score_sample", "judged"]["count_now"] == 6
    assert store.read("drift_scores").join(scores, on="photo_id", how="semi").sort("photo_id").equals(scores)


def test_a_photograph_that_cannot_be_had_now_is_tried_again(
    home: ChampionsHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.comes_in(0)
    file = home.corpus / home.photos[-1]["uri"]
    home.save()
    whole = file.read_bytes()
    file.write_bytes(whole + b"another")
    home.drift()
    assert home.found()["score_sample", "not_decoded"]["count_now"] == 1
    assert not drift.is_current(home.context())
    file.write_bytes(whole)
    home.drift()
    assert home.found()["score_sample", "judged"]["count_now"] == 1
    assert drift.is_current(home.context())


def test_groups_have_even_shares_of_what_is_judged() -> None:
    groups = ["large"] * 500 + ["small"] * 7 + ["middle"] * 120
    new = pl.DataFrame({"photo_id": [f"{number * 7919 % 1009:04}" for number in range(627)], "group": groups})
    chosen = module._chosen(new)
    assert dict(chosen.group_by("group").len().iter_rows()) == {"large": 97, "small": 7, "middle": 96}
    assert len(chosen) == JUDGED
    assert module._chosen(new.sample(fraction=1, shuffle=True, seed=1)).equals(chosen)


@pytest.mark.parametrize("gone", ["pointer", "file", "record"])
def test_without_a_champion_it_says_so(home: ChampionsHome, gone: str) -> None:
    home.drift()
    if gone == "pointer":
        home.home.champion.unlink()
    elif gone == "file":
        home.home.detector_file(home.name).unlink()
    else:
        home.context().store.drop("champion_photographs", home.name)
    assert not drift.is_current(home.context())
    assert home.drift().numbers == {"due": 1}
    (row,) = home.found().values()
    expected = {
        "pointer": "no detector answers yet",
        "file": f"the file of the champion, {home.name}, is gone",
        "record": f"which photographs the champion, {home.name}, was made from was not kept",
    }
    assert (row["measure"], row["due"], row["reason"]) == ("retraining", True, expected[gone])
    assert drift.is_current(home.context())
    check = retraining_due()
    assert isinstance(check, dg.AssetCheckResult)
    assert not check.passed
    assert check.metadata["champion"].value == ("none" if gone == "pointer" else home.name)


def test_dagster_shows_it_and_knows_when_it_is_overdue(home: ChampionsHome) -> None:
    asset = to_asset(drift)
    (spec,) = asset.specs
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(timedelta(days=8), timedelta(days=2))
    with dg.DagsterInstance.from_config(str(prepare(home.home))) as instance:
        assert instance.freshness_enabled
        result = dg.materialize([asset, retraining_due], instance=instance)
    (made,) = result.asset_materializations_for_node("drift")
    assert made.metadata["due"].value == 0
    (evaluated,) = result.get_asset_check_evaluations()
    assert evaluated.passed
