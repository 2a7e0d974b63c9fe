from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli import cli
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


def test_the_ready_queries_are_listed() -> None:
    result = CliRunner().invoke(cli, ["query"])
    listed = {line.split()[0] for line in result.output.splitlines()}
    assert {"leaderboard", "per_generator", "calibration", "exif_coverage", "quarantine", "pretext"} <= listed
