from pathlib import Path

import pytest

from warehouse.home import Home, UserError
from warehouse.registry import Corpus, Dataset, add_corpus, add_dataset, read_registry, resolve, set_training


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "photos").mkdir()
    return Home(tmp_path / "home")


def test_what_is_registered_is_read_back_in_order(home: Home, tmp_path: Path) -> None:
    add_corpus(home, "zebra", Corpus(source=str(tmp_path / "photos"), use=["train"]))
    add_corpus(home, "ape", Corpus(source=str(tmp_path / "photos")))
    add_dataset(home, "dev", Dataset(source=str(tmp_path / "photos")))
    registry = read_registry(home)
    assert list(registry.corpora) == ["zebra", "ape"]
    assert registry.corpora["zebra"].use == ["train"]
    assert registry.corpora["ape"].use == ["train", "reference"]
    assert list(registry.datasets) == ["dev"]


def test_a_source_inside_the_home_moves_with_it(home: Home, tmp_path: Path) -> None:
    (home.path / "own").mkdir(parents=True)
    add_corpus(home, "own", Corpus(source=str(home.path / "own")))
    assert read_registry(home).corpora["own"].source == "own"
    moved = Home(home.path.rename(tmp_path / "moved"))
    assert resolve(moved, read_registry(moved).corpora["own"].source) == tmp_path / "moved" / "own"


def test_edits_keep_a_persons_comments(home: Home) -> None:
    home.path.mkdir()
    home.registry.write_text("# mine\n[training] # of the lab\npreset = 'compact' # small\n")
    set_training(home, steps=5)
    text = home.registry.read_text()
    assert "# mine" in text
    assert "# of the lab" in text
    assert "# small" in text
    assert read_registry(home).training.steps == 5


def test_registering_again_is_no_error_but_another_source_is(home: Home, tmp_path: Path) -> None:
    add_corpus(home, "a", Corpus(source=str(tmp_path / "photos")))
    add_corpus(home, "a", Corpus(source=str(tmp_path / "photos"), use=["reference"]))
    assert read_registry(home).corpora["a"].use == ["reference"]
    with pytest.raises(UserError, match="another source"):
        add_corpus(home, "a", Corpus(source=str(tmp_path)))


@pytest.mark.parametrize("name", ["", "A", "a b", "a.b", "../a", "ä", "a" * 65])
def test_a_name_is_a_plain_word(home: Home, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be registered"):
        add_corpus(home, name, Corpus(source=str(tmp_path / "photos")))
    assert not home.registry.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpora = [", "not valid TOML"),
        ("[corpora.a]\n", "corpora.a.source"),
        ("[corpora.a]\nsource = 'x'\nuse = ['sell']", "corpora.a.use"),
        ("[corpora.a]\nsource = 'x'\nuse = []", "corpora.a.use"),
        ("[training]\npreset = 'huge'", "training.preset"),
        ("[training]\nsteps = 0", "training.steps"),
        ("[training]\nbackbone = '../x'", "training.backbone"),
        ("[detection]\nfalse_positive_rate = 1.5", "detection.false_positive_rate"),
        ("[trainign]\n", "trainign"),
    ],
)
def test_an_entry_that_cannot_be_understood_is_named(home: Home, text: str, said: str) -> None:
    home.path.mkdir()
    home.registry.write_text(text)
    with pytest.raises(UserError, match=said):
        read_registry(home)


def test_a_source_that_is_not_there_is_refused(home: Home) -> None:
    with pytest.raises(UserError, match="no such file"):
        add_corpus(home, "a", Corpus(source="nowhere"))
