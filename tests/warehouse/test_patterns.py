from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.home import UserError
from warehouse.patterns import expand, local_names, split_pattern


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("x.tar", ["x.tar"]),
        ("x-{0..2}.tar", ["x-0.tar", "x-1.tar", "x-2.tar"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{000..001}/{a,b}", ["000/a", "000/b", "001/a", "001/b"]),
        ("{a,a}", ["a"]),
        ("{a,}x", ["ax", "x"]),
    ],
)
def test_braces_stand_for_names(pattern: str, names: list[str]) -> None:
    assert expand(pattern) == names


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 5), st.text("ab/.", max_size=3))
def test_a_range_has_every_number_once_and_keeps_its_width(first: int, more: int, width: int, tail: str) -> None:
    names = expand(f"x{{{first:0{width}d}..{first + more:0{width}d}}}{tail}")
    assert [int(name[1 : len(name) - len(tail)]) for name in names] == list(range(first, first + more + 1))
    if len(str(first + more)) <= width:
        assert {len(name) for name in names} == {1 + width + len(tail)}


@pytest.mark.parametrize(
    "pattern", ["{2..1}", "{a}", "{}", "{1..x}", "{0..9999999999}", "{0..99999}{0..99999}", "{1-2}"]
)
def test_braces_that_are_no_range_or_far_too_long_are_an_error(pattern: str) -> None:
    with pytest.raises(UserError, match=r"no range|more than"):
        expand(pattern)


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("/a/b/x-{0..1}.tar", ("/a/b", "x-{0..1}.tar")),
        ("/a/*/x.tar", ("/a", "*/x.tar")),
        ("/x.tar", ("/", "x.tar")),
        ("x.tar", ("", "x.tar")),
        ("s3://bucket/a/*.tar", ("s3://bucket/a", "*.tar")),
    ],
)
def test_a_pattern_lies_below_the_last_plain_folder(pattern: str, parts: tuple[str, str]) -> None:
    assert split_pattern(pattern) == parts


def test_local_names_are_those_that_are_there(tmp_path: Path) -> None:
    for name in ("x-0.tar", "x-2.tar", "y.tar", ".hidden.tar"):
        (tmp_path / name).touch()
    assert local_names(f"{tmp_path}/x-{{0..3}}.tar") == ["x-0.tar", "x-2.tar"]
    assert local_names(f"{tmp_path}/[xy]*.tar") == ["x-0.tar", "x-2.tar", "y.tar"]
    assert local_names(f"{tmp_path}/none*.tar") == []
