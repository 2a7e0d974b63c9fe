from pathlib import Path

import polars as pl
import pytest

from warehouse.home import UserError
from warehouse.score_tables import Names, read_scores

TRACKS, PERTURBATIONS = ("as_shipped", "format_matched"), ("none", "jpeg_75")


def read(path: Path, text: str) -> list[tuple[int, str, float, str | None, str | None]]:
    path.write_text(text)
    rows = read_scores(path, TRACKS, PERTURBATIONS)
    return [(row.line, row.file, row.score, row.track, row.perturbation) for row in rows]


def test_a_table_of_scores_is_read_with_its_lines(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    assert read(table, "file,score\na.png,0.5\nb.png,-3e2\n") == [
        (2, "a.png", 0.5, None, None),
        (3, "b.png", -300, None, None),
    ]
    assert read(table, "score,file,track,perturbation\n1,a.png,format_matched,jpeg_75\n2,a.png,,\n") == [
        (2, "a.png", 1, "format_matched", "jpeg_75"),
        (3, "a.png", 2, None, None),
    ]


def test_parquet_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    pl.DataFrame({"file": ["a"], "score": [0.1]}).write_parquet(path)
    assert [row.score for row in read_scores(path, TRACKS, PERTURBATIONS)] == [0.1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,score\na,1\nb,high\n", "line 3: the score must be a finite number, not 'high'"),
        ("file,score\na,nan\n", "line 2: the score must be a finite number, not 'nan'"),
        ("file,score\na,inf\n", "line 2: the score must be a finite number, not 'inf'"),
        ("file,score\na,\n", "line 2: the score must be a finite number, not ''"),
        ("file,score\n,1\n", "line 2: names no file"),
        ("file,score,track\na,1,shipped\n", "line 2: 'shipped' is none of as_shipped, format_matched"),
        ("file,score,perturbation\na,1,jpeg\n", "line 2: 'jpeg' is none of none, jpeg_75"),
        ("file,label\na,1\n", "has no column score; columns are file, label"),
        ("name,score\na,1\n", "has no column named file"),
    ],
)
def test_what_cannot_be_understood_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(tmp_path / "scores.csv", text)


def test_a_name_is_a_path_in_the_sets_folder_or_a_content(tmp_path: Path) -> None:
    content = {name: f"{number:064x}" for number, name in enumerate(("a/x.png", "y.png", "z.png"))}
    images = [("one", content["a/x.png"], "a/x.png"), ("one", content["y.png"], "y.png")]
    images += [("two", content["y.png"], "other/y.png"), ("two", content["z.png"], "y.png")]
    names = Names.of(images, {"one": tmp_path / "one", "two": tmp_path / "two"})
    assert names.find("a/x.png") == [("one", content["a/x.png"])]
    assert names.find("./a/../a/x.png") == [("one", content["a/x.png"])]
    assert names.find(str(tmp_path / "two" / "other" / "y.png")) == [("two", content["y.png"])]
    # A path that two sets have stands for an image of each, and so does a content.
    assert names.find("y.png") == [("one", content["y.png"]), ("two", content["z.png"])]
    assert names.find(content["y.png"].upper()) == [("one", content["y.png"]), ("two", content["y.png"])]
    assert names.find("nothing.png") == names.find("../y.png") == names.find("f" * 64) == []
