from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.answers import Answer, as_line, of_line, open_answers
from warehouse.home import UserError


def answer(file: str = "a.jpg", sha256: str | None = "ab", detector: str = "01") -> Answer:
    return Answer(file, sha256, "photograph", detector, "1", "as_shipped", "photos", 100, 10, 0.05, 1.6, 0.5, 0.1)


@given(st.text(st.characters(), max_size=20))
def test_a_line_is_read_as_it_was_written(name: str) -> None:
    line = as_line(answer(name))
    assert line.count("\n") == 1
    line.encode()
    assert of_line(line) == answer(name)


def test_names_that_are_no_text_survive() -> None:
    assert of_line(as_line(answer("a\udcff.jpg"))).file == "a\udcff.jpg"


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "below" / "answers.jsonl"
    with open_answers(file) as kept:
        kept.add(answer("a.jpg", "aa"))
        kept.add(answer("\u2028b.jpg", "bb"))
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"file": "c.jpg", "sha')
    with open_answers(file) as kept:
        assert kept.known("other.jpg", "aa", "01") == answer("other.jpg", "aa")
        assert kept.known("a.jpg", "aa", "02") is None
        assert kept.known("c.jpg", "cc", "01") is None
        kept.add(answer("a.jpg", "aa"))
        kept.add(answer("\u2028b.jpg", "bb"))
        kept.add(answer("c.jpg", "cc"))
    assert file.read_bytes() == whole + as_line(answer("c.jpg", "cc")).encode()


@pytest.mark.parametrize("content", ["hello\n", "hello", '{"a": 1}\n', "[]\n", "\xff\xfe"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(content)
    with pytest.raises(UserError, match="something other than answers"), open_answers(file):
        pass
    assert file.read_text() == content


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises((UserError, OSError)), open_answers(Path("/proc/answers.jsonl")):
        pass
