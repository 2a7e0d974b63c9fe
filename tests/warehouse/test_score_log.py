import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.home import UserError
from warehouse.score_log import logging

STEADY = settings(deadline=None, derandomize=True)


def test_what_was_added_is_there_in_the_next_run_to_the_last_bit(tmp_path: Path) -> None:
    path, scores = tmp_path / "folder" / "scores.jsonl", {"part": [0.1 + 0.2, -1e-300, 3.0]}
    with logging(path) as log:
        assert log.get("a") is None
        log.add("a", scores)
        assert log.get("a") == scores
    with logging(path) as log:
        assert log.get("a") == scores
        log.add("b", {"part": []})
    assert len(path.read_text().splitlines()) == 2


@STEADY
@given(st.integers(0, 200))
def test_wherever_it_is_cut_off_whole_lines_stand_and_writing_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "scores.jsonl"
    with logging(path) as log:
        for number in range(4):
            log.add(str(number), {"part": [float(number)]})
    os.truncate(path, min(cut, path.stat().st_size))
    whole = path.read_bytes().count(b"\n")
    with logging(path) as log:
        assert [log.get(str(number)) is not None for number in range(4)] == [number < whole for number in range(4)]
        log.add("new", {"part": [1.0]})
    with logging(path) as log:
        assert log.get("new") == {"part": [1.0]}
        assert (log.get("0") is not None) == (whole > 0)


def test_a_damaged_line_costs_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b'\xff\n[]\n{"sha256": "a"}\n{"sha256": "b", "scores": {"part": [1.0]}}\n')
    with logging(path) as log:
        assert (log.get("a"), log.get("b")) == (None, {"part": [1.0]})


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o500)
    if os.access(tmp_path / "folder", os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(UserError, match="cannot be written"), logging(tmp_path / "folder" / "scores.jsonl"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with logging(tmp_path / "scores.jsonl") as log:
        with Path("/dev/full").open("ab", buffering=0) as full, monkeypatch.context() as patch:
            patch.setattr(log._file, "_descriptor", full.fileno())
            with pytest.raises(UserError, match="free some space"):
                log.add("a", {"part": [1.0]})
        assert log.get("a") is None
