"""What a clean-up leaves and takes, on a home of real tables, catalogues, weights and decisions."""

import os
import shutil
import time
from pathlib import Path

import polars as pl
import pytest

from assets.champions import decisions, promote, roll_back
from assets.cleaning import clean, unneeded
from assets.detection import choose, detect
from tests.assets.cleaned_home import GENERATIONS, IMPORTED, Cleaned, age, backbone, make_home, tree
from tests.small_detector import jpeg, photograph
from warehouse.catalogue import ask, build_catalogue, connect
from warehouse.catalogue_names import names_in_use
from warehouse.champion import read_champion
from warehouse.home import Home, UserError
from warehouse.retention import DAY, remove
from warehouse.schema import TABLES
from warehouse.shards import frame
from warehouse.store import Store


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Cleaned:
    made = make_home(tmp_path_factory.mktemp("cleaned") / "home")
    strays(made.home)
    return made


@pytest.fixture
def cleaned(original: Cleaned, tmp_path: Path) -> Cleaned:
    return Cleaned(Home(shutil.copytree(original.home.path, tmp_path / "home")), original.detectors)


def exif_raw(photo_id: str) -> pl.DataFrame:
    return frame("exif_raw", [dict.fromkeys(frame("exif_raw", []).columns) | {"photo_id": photo_id}])


def strays(home: Home) -> None:
    """One thing of each kind that is in nobody's use, all 50 days old."""
    store = Store(home.tables)
    store.write_shard("exif_raw", exif_raw("stray"))
    version = home.tables / "exif_raw" / "v0" / "all"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    (home.backbones / backbone(0) / ".backbone.safetensors.x1").write_bytes(b"1")
    (home.tables / "splits" / "v1" / "all" / ".writing-1.parquet").write_bytes(b"12")
    (home.path / ".writing-2.duckdb").write_bytes(b"123")
    (home.tables / "splits" / "v1" / "all" / ".commits" / ".writing-3").mkdir()
    age(home, 50)


def tables(home: Home) -> dict[str, object]:
    store = Store(home.tables)
    return {name: store.read(name).to_dicts() for name in TABLES if name != "champion_photographs"}


def test_tables_champions_and_both_catalogues_are_as_before(cleaned: Cleaned, tmp_path: Path) -> None:
    home = cleaned.home
    (tmp_path / "a.jpg").write_bytes(jpeg(photograph(1)))
    before, answers = tables(home), [each.answer for each in detect(choose(home), [tmp_path / "a.jpg"])]
    went = {each.kind: each.things for each in clean(home)}
    assert set(went) == {
        *("detectors", "backbones", "autoencoders", "shards", "temporary files"),
        *("former versions of tables", "photographs of gone detectors"),
    }
    assert tables(home) == before
    assert [each.answer for each in detect(choose(home), [tmp_path / "a.jpg"])] == answers
    assert {Path(file).parts[1] for file in names_in_use(home).files} == {"exif_raw", "champion_photographs"}
    assert all((home.path / file).exists() for file in names_in_use(home).files)
    assert (home.backbones / IMPORTED).exists()
    # Published twice, and the two that changed last.
    for folder in (home.backbones, home.autoencoders):
        assert {path.name for path in folder.glob("*/")} - {IMPORTED} == {backbone(4), backbone(5)}
    # Two champions, and who was before each.
    assert {path.name for path in home.detectors.glob("*/")} == set(cleaned.detectors[-3:])
    for _ in range(2):
        roll_back(home)
        assert choose(home).load()
    assert read_champion(home) == cleaned.detectors[-3]


def test_photographs_of_gone_detectors_go_when_no_catalogue_names_them(cleaned: Cleaned) -> None:
    home, store = cleaned.home, cleaned.store
    clean(home)
    assert store.partitions("champion_photographs") == sorted(cleaned.detectors[-3:])
    assert clean(home) == []
    for published in range(2):
        assert len(store.finished("champion_photographs", cleaned.detectors[0])) == 1
        store.write("exif_raw", exif_raw(str(published)))
        build_catalogue(home, store)
        age(home, 10)
        clean(home)
    assert store.finished("champion_photographs", cleaned.detectors[0]) == []
    with connect(home) as catalogue:
        assert len(ask(catalogue, "FROM champion_photographs").rows) == 3


def test_whoever_has_the_catalogue_before_open_reads_on(cleaned: Cleaned) -> None:
    home = cleaned.home
    with connect(home) as former:
        cleaned.store.write(
            "exif_raw", frame("exif_raw", [dict.fromkeys(["photo_id", "tags", "exiftool_version"], "n")])
        )
        build_catalogue(home, cleaned.store)
        build_catalogue(home, cleaned.store)
        age(home, 10)
        clean(home)
        assert ask(former, "SELECT photo_id FROM exif_raw").rows == [(str(GENERATIONS - 1),)]
    with connect(home) as current:
        assert ask(current, "SELECT photo_id FROM exif_raw").rows == [("n",)]


def test_a_dry_run_says_the_same_and_removes_nothing(cleaned: Cleaned) -> None:
    before = tree(cleaned.home)
    said = clean(cleaned.home, dry_run=True)
    assert tree(cleaned.home) == before
    assert clean(cleaned.home) == said
    assert sum(each.files for each in said) == len(before) - len(tree(cleaned.home))


def test_a_clean_up_that_was_killed_and_repeated_ends_in_the_same(cleaned: Cleaned, tmp_path: Path) -> None:
    plan = len(list(unneeded(cleaned.home)))
    copies = {done: Home(shutil.copytree(cleaned.home.path, tmp_path / str(done))) for done in range(0, plan, 3)}
    clean(cleaned.home)
    for done, home in copies.items():
        started = list(unneeded(home))
        for each in started[:done]:
            remove(each)
        if started[done].path.is_dir():
            # Killed after it was put aside.
            aside = started[done].path.parent / ".removing"
            aside.mkdir()
            started[done].path.rename(aside / started[done].path.name)
        clean(home)
        assert tree(home) == tree(cleaned.home)


def test_nothing_younger_than_a_day_goes(cleaned: Cleaned) -> None:
    for path in cleaned.home.path.rglob("*"):
        os.utime(path)
    before = tree(cleaned.home)
    assert clean(cleaned.home) == []
    assert tree(cleaned.home) == before


def test_what_a_killed_run_goes_on_with_stays(cleaned: Cleaned) -> None:
    home, when = cleaned.home, time.time() - 3 * DAY
    clean(home)
    folder = cleaned.store.folder("splits")
    shard = folder / cleaned.store.write_shard("splits", frame("splits", [{"group": "n", "fold": 0, "photos": 1}])).file
    checkpoint = home.autoencoders / ("e" * 16) / "checkpoint.pt"
    for number in range(3):
        later = home.autoencoders / (str(number) * 16) / "metrics.json"
        later.parent.mkdir()
        later.write_text("{}")
        os.utime(later, (when + number + 1,) * 2)
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"")
    for path in (shard, checkpoint, checkpoint.parent):
        os.utime(path, (when, when))
    assert clean(home) == []
    os.utime(shard, (when - 5 * DAY,) * 2)
    assert [each.kind for each in clean(home)] == ["shards"]


def test_what_a_person_put_there_stays(cleaned: Cleaned, tmp_path: Path) -> None:
    home = cleaned.home
    (home.detectors / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home.detectors / ("d" * 16)).symlink_to(tmp_path / "elsewhere")
    damaged = home.backbones / ("c" * 16) / "backbone.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(b"no weights")
    later = home.tables / "splits" / "v99" / "all" / "manifest.json"
    later.parent.mkdir(parents=True)
    later.write_text("{}")
    age(home, 60)
    clean(home)
    there = [home.detectors / "mine", home.detectors / ("d" * 16), damaged, later]
    assert all(path.exists() for path in there)


def test_an_old_detector_that_a_person_chose_stays_with_whom_it_replaced(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.champions.detectors_here", lambda home: cleaned.detectors)  # they have one part each
    promote(cleaned.home, cleaned.detectors[0])
    age(cleaned.home, 20)
    clean(cleaned.home)
    assert read_champion(cleaned.home) == cleaned.detectors[0]
    roll_back(cleaned.home)
    assert read_champion(cleaned.home) == cleaned.detectors[-1]
    assert len(decisions(cleaned.store)) == GENERATIONS + 2


def test_damaged_names_of_catalogues_are_one_line_and_nothing_goes(cleaned: Cleaned) -> None:
    cleaned.home.catalogue_names.write_text("{")
    before = tree(cleaned.home)
    with pytest.raises(UserError, match=r"catalogue\.names\.json is damaged .*: remove it"):
        clean(cleaned.home)
    assert tree(cleaned.home) == before
