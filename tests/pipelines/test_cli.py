import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from pipelines.cli import cli, main
from warehouse.home import Home
from warehouse.registry import read_registry


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far from the project, and with a variable that the option overrides."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path / "variable"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()


@pytest.mark.parametrize(
    ("words", "home"),
    [
        (["corpus", "add", "mine", "photos"], "variable"),
        (["--home", "before", "corpus", "add", "mine", "photos"], "before"),
        (["corpus", "add", "mine", "photos", "--home", "after"], "after"),
        (["--home", "before", "corpus", "add", "mine", "photos", "--home", "after"], "after"),
    ],
)
def test_the_home_may_be_named_before_the_command_and_after_it(tmp_path: Path, words: list[str], home: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    registry = read_registry(Home(tmp_path / home))
    assert registry.corpora["mine"].source == str(tmp_path / "photos")


def test_uses_and_group_are_registered(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("file,who\nphotos/a.jpg,Ann\n")
    words = ["corpus", "add", "mine", "table.csv", "--group", "who", "--use", "reference"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    corpus = read_registry(Home(tmp_path / "variable")).corpora["mine"]
    assert (corpus.group, corpus.use) == ("who", ["reference"])


def test_a_corpus_may_be_shards_a_bucket_or_addresses(tmp_path: Path) -> None:
    import fsspec

    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "s-0.tar").touch()
    assert "corpus a: 1 tar shards; `sdaie run`" in said("corpus", "add", "a", "shards/*.tar")
    assert "corpus b: 2 tar shards, 1 of unknown size" in said("corpus", "add", "b", "shards/s-{0..1}.tar")
    fsspec.filesystem("memory").pipe({"/cli/x/1.jpg": b"1", "/cli/x/2.jpg": b"2"})
    assert "corpus c: 2 files in 1 groups" in said("corpus", "add", "c", "memory://cli")
    (tmp_path / "addresses.csv").write_text("url\nhttp://127.0.0.1:9/a.jpg\nphotos/a.jpg\n")
    assert "corpus d: 2 files in 2 groups, 1 of unknown size" in said("corpus", "add", "d", "addresses.csv")
    registered = read_registry(Home(tmp_path / "variable")).corpora
    assert [corpus.source for corpus in registered.values()] == [
        f"{tmp_path}/shards/*.tar",
        f"{tmp_path}/shards/s-{{0..1}}.tar",
        "memory://cli",
        f"{tmp_path}/addresses.csv",
    ]


def test_the_ready_queries_are_listed() -> None:
    result = CliRunner().invoke(cli, ["query"])
    listed = {line.split()[0] for line in result.output.splitlines()}
    assert {"leaderboard", "per_generator", "calibration", "exif_coverage", "quarantine", "pretext"} <= listed


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def said(*words: str) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_set_is_registered_with_its_uses_and_what_it_holds(tmp_path: Path) -> None:
    touch("set/ADM/x/val/nature/1.png", "set/ADM/x/val/ai/2.png", "set/ADM/x/train/ai/3.png", "set/glide/val/ai/4.png")
    assert said("benchmark", "add", "mine", "set", "--use", "train", "--use", "evaluate", "--wild").splitlines() == [
        "benchmark mine: layout GenImage; 1 photographs, 2 images of 2 generators (ADM 1, glide 1); "
        "`sdaie run` trains the binary detector on them and scores them",
        "benchmark mine: 1 files in folders `train` are left out: `val` is taken where there is one",
    ]
    touch("two/progan/0_real/1.png")
    assert "1 photographs, 0 images of 0 generators; `sdaie run` scores them" in said("benchmark", "add", "two", "two")
    with dg.DagsterInstance.from_config(str(Home(tmp_path / "variable").dagster)) as instance:
        assert sorted(instance.get_dynamic_partitions("benchmark")) == [
            "mine.ADM",
            "mine.glide",
            "mine.real",
            "two.real",
        ]
    datasets = read_registry(Home(tmp_path / "variable")).datasets
    assert (datasets["mine"].use, datasets["mine"].wild) == (["train", "evaluate"], True)
    assert (datasets["two"].use, datasets["two"].wild) == (["evaluate"], False)
    listed = [line.split() for line in said("benchmark", "list").splitlines()[2:-1]]
    assert listed == [
        ["mine", str(tmp_path / "set"), "GenImage", "1", "2", "2", "train+evaluate+wild"],
        ["two", str(tmp_path / "two"), "AIGCDetectBenchmark", "1", "0", "0", "evaluate"],
    ]


def test_the_list_shows_the_other_sets_where_one_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    touch("set/a/1_fake/1.png", "gone/a/1_fake/1.png")
    said("benchmark", "add", "gone", "gone")
    said("benchmark", "add", "here", "set")
    Path("gone").rename("elsewhere")
    touch("third/a/1_fake/1.png")
    assert "1 images of 1 generators" in said("benchmark", "add", "third", "third")
    assert mistake(capsys, "benchmark", "list") == (1, f"sdaie: gone: {Path.cwd() / 'gone'}: no such file or folder\n")


def test_the_grid_is_shown_and_chosen(tmp_path: Path) -> None:
    assert said("benchmark", "grid") == "default\n"
    said("benchmark", "grid", "whole")
    assert said("benchmark", "grid") == "whole\n"
    assert read_registry(Home(tmp_path / "variable")).evaluation.grid == "whole"


def test_detectors_of_others_are_registered_listed_and_removed() -> None:
    Path("scores.csv").write_text("file,score\na.jpg,0.5\n")
    said("detector", "add", "theirs", "--class", "package.module:Class")
    said("detector", "add", "published", "--scores", "scores.csv")
    listed = [line.split() for line in said("detector", "list").splitlines()[2:-1]]
    assert listed == [
        ["theirs", "class", "package.module:Class"],
        ["published", "scores", str(Path.cwd() / "scores.csv")],
    ]
    said("detector", "remove", "theirs")
    assert [line.split()[0] for line in said("detector", "list").splitlines()[2:-1]] == ["published"]


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and what is said beside the answer, of the command as a shell starts it."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sdaie", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "wanted"),
    [
        ("corpus add a nowhere", 1, "no such file"),
        ("corpus add a nowhere/*.tar", 1, "no shard has such a name"),
        ("corpus add a photos.tar.gz", 1, "packed archives are not read"),
        ("corpus add a memory://nowhere", 1, "memory://nowhere"),
        ("corpus add a nothing://bucket", 1, "nothing:// cannot be read"),
        ("corpus add a http://127.0.0.1:9/set/", 1, "cannot be listed: private_address"),
        ("corpus add a http://127.0.0.1:9/set.csv", 1, "a private address"),
        ("corpus add a http://user:word@host/set.csv", 1, "no place for passwords"),
        ("benchmark add a nowhere", 1, "no such file"),
        ("benchmark add a photos", 1, "no images in folders"),
        ("benchmark add a.b set", 1, "'a.b' cannot be registered"),
        ("benchmark add a set --use test", 2, "Invalid value"),
        ("benchmark add a", 2, "Missing argument"),
        ("benchmark grid large", 2, "Invalid value"),
        ("detector add a", 2, "either --class"),
        ("detector add a --class b:C --scores table.csv", 2, "either --class"),
        ("detector add a --class b", 1, "'a' cannot be registered"),
        ("detector add one_class --class b:C", 1, "detector of ours"),
        ("detector add binary_mine --class b:C", 1, "detector of ours"),
        ("detector add a --scores nowhere.csv", 1, "nowhere.csv: not a table"),
        ("detector add a --scores table.csv", 1, "needs a column 'score'"),
        ("detector remove a", 1, "no detector 'a'"),
    ],
)
def test_a_mistake_is_one_line_and_registers_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, wanted: str
) -> None:
    touch("set/a/1_fake/1.png")
    Path("table.csv").write_text("file,name\na.jpg,b\n")
    got, line = mistake(capsys, *words.split())
    assert got == code
    assert wanted in line
    assert code == 2 or len(line.splitlines()) == 1
    assert not (tmp_path / "variable").exists()
