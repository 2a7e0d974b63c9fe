from pathlib import Path

import pytest

from warehouse.home import Home, UserError
from warehouse.registry import (
    OWN_DETECTORS,
    Corpus,
    Dataset,
    Network,
    add_corpus,
    add_dataset,
    add_detector,
    read_registry,
    remove_detector,
    resolve,
    set_grid,
    set_training,
)


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
        ("[training]\nstart = 'zero'", "training.start"),
        ("[training]\nbackbone = '../x'", "training.backbone"),
        ("[detection]\nfalse_positive_rate = 1.5", "detection.false_positive_rate"),
        ("[trainign]\n", "trainign"),
        ("[evaluation]\ngrid = 'large'", "evaluation.grid"),
        ("[network]\nconcurrency = 0", "network.concurrency"),
        ("[network]\ntimeout_s = 0", "network.timeout_s"),
        ("[network]\nretries = 99", "network.retries"),
        ("[network]\nproxy = 'x'", "network.proxy"),
        ("[datasets.a]\nsource = 'x'\nuse = ['test']", "datasets.a.use"),
        ("[detectors.one_class]\nclass = 'a:B'", "detectors: 'one_class' is the name of a detector of ours"),
        ("[detectors.a]\nclass = 'a:B'\nscores = 'x.csv'", "detectors.a: a detector has either"),
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


@pytest.mark.parametrize(
    "source", ["s3://bucket/prefix", "https://host/set/", "https://host/t.csv", "gs://b/s-{00..99}.tar", "memory://x"]
)
def test_an_address_is_registered_as_it_is_for_a_corpus_alone(home: Home, source: str) -> None:
    add_corpus(home, "a", Corpus(source=source))
    assert read_registry(home).corpora["a"].source == source
    with pytest.raises(UserError, match="no such file"):
        add_dataset(home, "a", Dataset(source=source))


@pytest.mark.parametrize(
    "source",
    [
        *("https://user:word@host/t.csv", "sftp://user:word@host/x", "simplecache::s3://bucket/x"),
        *("zip:///tmp/x.zip", "dir://x", "filecache://x", "ftp://host/x"),
    ],
)
def test_passwords_and_chains_of_addresses_are_not_registered(home: Home, source: str) -> None:
    with pytest.raises(UserError, match=r"is not read|are not read") as caught:
        add_corpus(home, "a", Corpus(source=source))
    assert "word" not in str(caught.value).replace("password", "")
    assert not home.registry.exists()


def test_a_pattern_of_shards_inside_the_home_moves_with_it(home: Home, tmp_path: Path) -> None:
    (home.path / "own").mkdir(parents=True)
    (home.path / "own" / "s-01.tar").touch()
    for number, pattern in enumerate(("s-{00..01}.tar", "*.tar")):
        add_corpus(home, f"own{number}", Corpus(source=f"{home.path}/own/{pattern}"))
        assert read_registry(home).corpora[f"own{number}"].source == f"own/{pattern}"
    for pattern in ("t-*.tar", "s-{2..3}.tar"):
        with pytest.raises(UserError, match="no such file"):
            add_corpus(home, "none", Corpus(source=f"{home.path}/own/{pattern}"))
        with pytest.raises(UserError, match="no such file"):
            add_dataset(home, "none", Dataset(source=f"{home.path}/own/*.tar"))


def test_worker_processes_share_the_limits_of_the_network() -> None:
    network = Network(concurrency=16, per_host=4, retries=2)
    assert network.shared_by(3) == Network(concurrency=5, per_host=1, retries=2)
    assert network.shared_by(99) == Network(concurrency=1, per_host=1, retries=2)


@pytest.fixture
def scores(tmp_path: Path) -> str:
    path = tmp_path / "scores.csv"
    path.write_text("file,score\na.jpg,1\n")
    return str(path)


def test_detectors_of_others_come_and_go(home: Home, scores: str) -> None:
    add_detector(home, "theirs", class_="package.module:Class")
    add_detector(home, "published", scores=scores)
    add_detector(home, "published", scores=scores)
    registered = read_registry(home).detectors
    assert [(name, d.class_, d.scores) for name, d in registered.items()] == [
        ("theirs", "package.module:Class", None),
        ("published", None, scores),
    ]
    remove_detector(home, "theirs")
    assert list(read_registry(home).detectors) == ["published"]
    with pytest.raises(UserError, match="no detector 'theirs'"):
        remove_detector(home, "theirs")


def test_scores_inside_the_home_move_with_it(home: Home) -> None:
    home.path.mkdir()
    (home.path / "scores.csv").touch()
    add_detector(home, "a", scores=str(home.path / "scores.csv"))
    assert read_registry(home).detectors["a"].scores == "scores.csv"


@pytest.mark.parametrize("name", [*OWN_DETECTORS, "binary_all", "binary-2", "A b"])
def test_the_names_of_our_detectors_are_taken(home: Home, name: str) -> None:
    with pytest.raises(UserError, match="cannot be registered"):
        add_detector(home, name, class_="a:B")
    assert not home.registry.exists()


def test_a_detector_is_one_thing(home: Home, scores: str) -> None:
    for wrong in ({}, {"class_": "a:B", "scores": scores}, {"class_": "no class"}, {"class_": "../a.py:B"}):
        with pytest.raises(UserError, match="cannot be registered"):
            add_detector(home, "a", **wrong)
    with pytest.raises(UserError, match="no such file"):
        add_detector(home, "a", scores="nowhere.csv")
    add_detector(home, "a", class_="a:B")
    with pytest.raises(UserError, match="already with another class: a:B"):
        add_detector(home, "a", class_="a:C")
    with pytest.raises(UserError, match="already"):
        add_detector(home, "a", scores=scores)


def test_every_edit_keeps_a_persons_comments(home: Home, tmp_path: Path) -> None:
    home.path.mkdir()
    home.registry.write_text(
        "# mine\n"
        f"[datasets.dev] # of spring\nsource = '{tmp_path / 'photos'}' # on the old disk\nuse = ['train'] # for now\n"
        "[evaluation]\ngrid = 'none' # in a hurry\n"
        "[detectors.a] # Ann's\nclass = 'a:B' # the first\n"
        "[detectors.b]\nclass = 'b:C'\n"
    )
    add_dataset(home, "dev", Dataset(source=str(tmp_path / "photos"), use=["evaluate", "train"], wild=True))
    set_grid(home, "whole")
    add_detector(home, "a", class_="a:B")
    remove_detector(home, "b")
    text = home.registry.read_text()
    for comment in ("# mine", "# of spring", "# on the old disk", "# in a hurry", "# Ann's", "# the first"):
        assert comment in text
    registry = read_registry(home)
    assert registry.datasets["dev"] == Dataset(source=str(tmp_path / "photos"), use=["evaluate", "train"], wild=True)
    assert registry.evaluation.grid == "whole"
    assert list(registry.detectors) == ["a"]
