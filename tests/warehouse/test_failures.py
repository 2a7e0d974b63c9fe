import json
from pathlib import Path

from warehouse.failures import FailedRun, Reason, add_failure


def failed(run: str) -> FailedRun:
    return FailedRun("2026-05-01T10:00:00+00:00", run, "sdaie run", None, None, False, [Reason("files", "größer")])


def test_a_run_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "home" / "failures.jsonl"
    assert [add_failure(path, failed(run)) for run in ("a", "b", "a")] == [True, True, False]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["run"] for line in lines] == ["a", "b"]
    assert json.loads(lines[0])["reasons"] == [{"step": "files", "reason": "größer"}]


def test_what_a_kill_left_half_written_is_cut_off_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    add_failure(path, failed("a"))
    add_failure(path, failed("b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert add_failure(path, failed("b"))
    assert path.read_bytes() == whole


def test_a_damaged_line_stays_and_stands_for_no_run(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_text("somebody's note\n[]\n")
    assert add_failure(path, failed("a"))
    assert path.read_text(encoding="utf-8").startswith("somebody's note\n[]\n{")
