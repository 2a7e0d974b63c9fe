import json
import os
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from assets.corpus import photos
from assets.crawl import files
from assets.exif_raw import exif_raw, exiftool_version, read_exif
from assets.stage import Context
from warehouse.exif_privacy import DROPPED_GROUPS
from warehouse.home import Home
from warehouse.places import Place
from warehouse.registry import Corpus, add_corpus
from warehouse.source_folder import FolderSource


def write_jpeg(path: Path, model: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", model
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16)).save(path, "JPEG", exif=exif)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a crawled corpus of twelve photographs in the folder `corpus` beside it."""
    for number in range(12):
        write_jpeg(tmp_path / "corpus" / f"{number}.jpg", f"model {number}")
    home = Home(tmp_path / "home")
    add_corpus(home, "c", Corpus(source=str(tmp_path / "corpus")))
    files.materialise(Context(home, "c"))
    photos.materialise(Context(home))
    return home


def quarantined(home: Home) -> pl.DataFrame:
    return Context(home).store.read("quarantine", ["exif_raw"])


def test_every_photograph_has_its_tags_as_json_without_what_is_not_its_own(home: Home) -> None:
    _, product = exif_raw.materialise(Context(home))
    rows = Context(home).store.read("exif_raw")
    assert product.numbers == {"photographs": 12, "quarantined": 0}
    assert set(rows["photo_id"]) == set(Context(home).store.read("photos")["photo_id"])
    tags = [json.loads(text) for text in rows["tags"]]
    assert {each["IFD0:Model"] for each in tags} == {f"model {number}" for number in range(12)}
    assert not {tag.partition(":")[0] for each in tags for tag in each} & {*DROPPED_GROUPS, "SourceFile"}
    assert set(rows["exiftool_version"]) == {exiftool_version()}
    assert not [tag for each in tags for tag, value in each.items() if str(home.path.parent) in str(value)]


def test_the_table_is_the_same_bytes_whatever_the_number_of_processes(home: Home) -> None:
    found = []
    for cores in (1, 3):
        home.registry.write_text(home.registry.read_text() + f"[compute]\nworkers = {cores}\n" * (cores == 3))
        manifest, _ = exif_raw.materialise(Context(home, force=True))
        found.append((manifest.digest, [path.read_bytes() for path in Context(home).store.paths("exif_raw")]))
    assert found[0] == found[1]


def test_a_photograph_that_changed_after_the_crawl_is_quarantined_with_what_to_do(home: Home, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "3.jpg").write_bytes(b"something else")
    os.utime(tmp_path / "corpus" / "4.jpg", ns=(0, 0))
    manifest, _ = exif_raw.materialise(Context(home))
    refused = quarantined(home)
    assert manifest.rows + len(refused) == 12
    assert sorted(refused.select("uri", "reason").rows()) == [
        ("3.jpg", "changed_meanwhile"),
        ("4.jpg", "changed_meanwhile"),
    ]
    assert all(detail.endswith("run again") for detail in refused["detail"])


def test_running_again_reads_what_had_changed(home: Home, tmp_path: Path) -> None:
    os.utime(tmp_path / "corpus" / "4.jpg", ns=(0, 0))
    assert exif_raw.materialise(Context(home))[0].rows == 11
    files.materialise(Context(home, "c"))
    photos.materialise(Context(home))
    assert exif_raw.materialise(Context(home))[0].rows == 12
    assert quarantined(home).is_empty()


def test_a_photograph_that_went_away_after_the_crawl_is_quarantined(home: Home, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "3.jpg").unlink()
    manifest, _ = exif_raw.materialise(Context(home))
    assert quarantined(home).select("uri", "reason").rows() == [("3.jpg", "missing")]
    assert manifest.rows == 11


def test_real_originals_are_read_the_same_by_one_process_and_by_two() -> None:
    folder = Path(__file__).parents[2] / "../shared/corpus/originals"
    if not folder.is_dir():
        pytest.skip("the real photographs are not there")
    places = tuple(Place(path.name, "c", path.name) for path in sorted(folder.iterdir()))
    read = partial(read_exif, {"c": FolderSource(folder)}, "12.57", places)
    rows, refused = read(processes=2)
    assert (rows, refused) == read(processes=1)
    assert refused == []
    assert len(rows) == len(places)
