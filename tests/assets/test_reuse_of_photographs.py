"""One photograph more costs one photograph: what `exif_raw` and `crops` know of the others is taken over."""

from pathlib import Path

import pytest

from assets import crops as crops_module
from assets import exif_raw as exif_module
from assets.corpus import photos
from assets.crawl import files
from assets.crops import crops
from assets.exif_raw import exif_raw
from assets.stage import Context, Stage
from tests.assets.small_home import picture
from warehouse.home import Home
from warehouse.places import Place
from warehouse.registry import Corpus, add_corpus
from warehouse.shards import Quarantined, Rows


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for number in range(3):
        picture(tmp_path / "corpus" / f"{number}.png", number)
    picture(tmp_path / "corpus" / "small.png", 9, side=20)
    home = Home(tmp_path / "home")
    add_corpus(home, "c", Corpus(source=str(tmp_path / "corpus")))
    return home


@pytest.mark.parametrize(
    ("stage", "module", "reading", "asked_again"),
    [(exif_raw, exif_module, "read_exif", []), (crops, crops_module, "cut_photographs", ["small.png"])],
)
def test_only_a_new_photograph_is_read(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    module: object,
    reading: str,
    asked_again: list[str],
) -> None:
    seen: list[str] = []
    read = getattr(module, reading)

    def noted(*words: object, **more: object) -> tuple[Rows, list[Quarantined]]:
        places = words[-1]
        assert isinstance(places, tuple)
        seen.extend(place.uri for place in places if isinstance(place, Place))
        answer: tuple[Rows, list[Quarantined]] = read(*words, **more)
        return answer

    monkeypatch.setattr(module, reading, noted)

    def run(force: bool = False) -> bytes:
        seen.clear()
        files.materialise(Context(home, "c"))
        photos.materialise(Context(home))
        stage.materialise(Context(home, force=force))
        (path,) = Context(home).store.paths(stage.tables[0])
        return path.read_bytes()

    run()
    assert sorted(seen) == ["0.png", "1.png", "2.png", "small.png"]
    picture(tmp_path / "corpus" / "new.png", 5)
    grown = run()
    assert sorted(seen) == ["new.png", *asked_again]
    assert run(force=True) == grown
    assert len(seen) == 5
