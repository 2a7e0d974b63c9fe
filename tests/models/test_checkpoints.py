from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.checkpoints import LATEST, PREVIOUS, newest_checkpoint, read_checkpoint, write_checkpoint


def state(step: int, digest: str = "job") -> dict[str, Any]:
    return {"digest": digest, "step": step, "weights": torch.full((1000,), step)}


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_latest_checkpoint_and_the_one_before_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, state(step))
    assert [read_checkpoint(tmp_path / name)["step"] for name in (LATEST, PREVIOUS)] == [3, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, LATEST]


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_good_one(tmp_path: Path) -> None:
    for step in (1, 2):
        write_checkpoint(tmp_path, state(step))
    damage(tmp_path / LATEST)
    write_checkpoint(tmp_path, state(3))
    assert [read_checkpoint(tmp_path / name)["step"] for name in (LATEST, PREVIOUS)] == [3, 1]


def test_one_torn_at_any_byte_is_not_used(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, state(1))
    content = (tmp_path / LATEST).read_bytes()
    for length in (0, 10, 32, 33, len(content) // 2, len(content) - 1):
        (tmp_path / LATEST).write_bytes(content[:length])
        reports: list[dict[str, Any]] = []
        assert newest_checkpoint(tmp_path, "job", reports.append) is None
        assert [report["event"] for report in reports] == ["checkpoint_damaged"]


def test_one_of_another_job_is_said_and_kept_until_there_are_two_of_this_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, state(7, "another"))
    reports: list[dict[str, Any]] = []
    assert newest_checkpoint(tmp_path, "job", reports.append) is None
    assert reports == [
        {
            "event": "checkpoint_of_another_job",
            "message": "checkpoint.pt is of other data or another configuration",
        }
    ]
    write_checkpoint(tmp_path, state(1))
    assert read_checkpoint(tmp_path / PREVIOUS)["step"] == 7
    found = newest_checkpoint(tmp_path, "job", reports.append)
    assert found is not None
    assert found["step"] == 1


def test_what_a_killed_write_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / f".{LATEST}.new.abcdefgh").write_bytes(b"half")
    write_checkpoint(tmp_path, state(1))
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]
