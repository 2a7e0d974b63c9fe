from pathlib import Path

import pytest

from warehouse.home import PROJECT, Home, atomic_path, digest, write_text


def test_the_home_is_the_option_else_the_variable_else_beside_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path / "variable"))
    assert Home.find(tmp_path / "option").path == tmp_path / "option"
    assert Home.find().path == tmp_path / "variable"
    monkeypatch.delenv("SDAIE_HOME")
    monkeypatch.chdir(tmp_path)
    assert Home.find().path == PROJECT / "data"


def test_a_relative_home_is_of_the_directory_one_calls_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.find(Path("mine")).path == tmp_path / "mine"


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_equal_values_have_equal_digests() -> None:
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
