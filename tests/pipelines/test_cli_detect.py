"""`sdaie detect` as it is typed, on a home with a small detector."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipelines.cli import cli
from tests.small_detector import jpeg, photograph, small_home
from warehouse.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return small_home(tmp_path_factory.mktemp("home") / "home")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for number in range(3):
        (folder / "below" / f"{number}.jpg").write_bytes(jpeg(photograph(number)))
    (folder / "note.txt").write_text("no picture")
    return folder


def call(home: Home, *words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.path), "detect", *map(str, words)])


def test_the_table_is_short_and_says_what_a_p_value_is(home: Home, pictures: Path) -> None:
    said = call(home, pictures)
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["file", "verdict", "p-value", "reason"]
    assert len(lines) == 6
    assert "not the probability of being generated" in lines[-1]
    assert "edits of a part of a picture are not judged" in lines[-1]
    assert said.exit_code == 1  # the note is no picture


def test_json_is_one_object_a_line(home: Home, pictures: Path) -> None:
    said = call(home, "--json", pictures / "below")
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert said.exit_code == 0
    assert [Path(answer["file"]).name for answer in answers] == ["0.jpg", "1.jpg", "2.jpg"]
    assert all(0 < answer["p_value"] <= 1 for answer in answers)


def test_answers_are_kept_and_not_given_twice(home: Home, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    said = call(home, pictures, "--output", output)
    assert said.stdout == ""
    assert "cannot_tell" in said.stderr
    first = output.read_text()
    assert len(first.splitlines()) == 4
    (pictures / "new.jpg").write_bytes(jpeg(photograph(9)))
    call(home, pictures, "--output", output)
    again = output.read_text()
    assert again.startswith(first)
    [added] = again.removeprefix(first).splitlines()
    assert Path(json.loads(added)["file"]).name == "new.jpg"


def test_a_page_and_heat_maps_are_written(home: Home, pictures: Path, tmp_path: Path) -> None:
    said = call(home, pictures, "--report", tmp_path / "out.html", "--heat-maps", tmp_path / "maps")
    assert "out.html has the answers to 4 files" in said.stderr
    page = (tmp_path / "out.html").read_text()
    assert page.count("<article") == 4
    assert "http" not in page.replace("http-equiv", "")
    maps = sorted((tmp_path / "maps").iterdir())
    assert len(maps) == 3
    with Image.open(maps[0]) as image:
        assert image.format == "PNG"


def test_an_empty_folder_has_no_answers(home: Home, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert call(home, tmp_path / "empty").exit_code == 0
    assert "no files" in call(home, tmp_path / "empty", "--output", tmp_path / "a.jsonl").stderr
