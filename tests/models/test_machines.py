"""Two machines train what one process trains; a machine or a process that is lost costs time and nothing else."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from models.train import run_job, train
from models.train_config import TrainConfig
from tests.models import synthetic_crops
from tests.models.first_step import assert_that_of_one
from tests.models.two_machines import LOOPBACK, ROOT, agents, namespaces

pytestmark = pytest.mark.slow
CONFIG = TrainConfig(steps=3, batch_photos=8, patches=2, validation_every=3, validation_patches=1, threads=1)
LONG = replace(CONFIG, steps=60, validation_every=20, patience=0)

# One step's losses and gradients, then the whole training.
STEP = """
import json, sys
from pathlib import Path
import torch
from models.ranks import joined_ranks
from models.train import run_job
from models.train_config import TrainConfig
from models.training_run import TrainingRun, read_data
job = json.loads(Path(sys.argv[1]).read_text())
torch.set_num_threads(1)
with joined_ranks() as ranks:
    config = TrainConfig(**job["config"])
    data = read_data(config, [Path(s) for s in job["crop_shards"]], Path(job["targets"]), ranks)
    run = TrainingRun(config, data, "", ranks)
    losses = run.gradients_of(data.batches.batch(0))
    if ranks.first:
        torch.save({"losses": losses, "gradients": {n: p.grad for n, p in run.network.named_parameters()}}, sys.argv[2])
    data.batches.close()
    run_job(job, lambda _: None, ranks=ranks)
"""

# The training program with a checkpoint every half second and a line at every step; each rank leaves its process id.
PROGRAM = """
import os, sys
from datetime import timedelta
from pathlib import Path
from models import ranks, train
Path(sys.argv[1]).with_name(f"rank{os.environ['RANK']}").write_text(str(os.getpid()))
train.CHECKPOINT_SECONDS, train.REPORT_SECONDS = 0.5, 0.0
ranks.LOST_AFTER = timedelta(seconds=float(sys.argv[2]))
train.main(Path(sys.argv[1]))
"""


def job(folder: Path, config: TrainConfig) -> dict[str, Any]:
    shards, targets = synthetic_crops.write(folder, photos=60)
    return {
        "config": asdict(config),
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(folder / "out"),
    }


def program(folder: Path, text: str) -> str:
    (folder / "program.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{text}")
    return str(folder / "program.py")


class Training:
    """The program on two machines; a process id for each rank, and what the agents said when they have ended."""

    def __init__(self, folder: Path, asked: dict[str, Any], restarts: int, lost_after: float) -> None:
        self.folder = folder
        (folder / "job.json").write_text(json.dumps(asked))
        for number in range(2):
            (folder / f"rank{number}").unlink(missing_ok=True)
        words = [program(folder, PROGRAM), str(folder / "job.json"), str(lost_after)]
        self.agents = agents(LOOPBACK, words, restarts=restarts)

    def under_way(self, steps: int) -> None:
        """Wait until so many steps are done."""
        # The agent of the first rank is not known before they have met: it is the one that speaks.
        speaker = self.agents[0] if self._first_speaks() else self.agents[1]
        assert speaker.stdout is not None
        for said in speaker.stdout:
            if said.startswith("{") and json.loads(said).get("step", 0) >= steps:
                return
        raise AssertionError("training ended before it was under way")

    def _first_speaks(self) -> bool:
        deadline = time.monotonic() + 60
        while not (self.folder / "rank0").exists() or not (self.folder / "rank0").read_text():
            assert time.monotonic() < deadline, "the agents did not meet"
            time.sleep(0.05)
        return parent_of(self.rank(0)) == self.agents[0].pid

    def rank(self, number: int) -> int:
        return int((self.folder / f"rank{number}").read_text())

    def ended(self, within: float) -> tuple[list[int], str]:
        """Statuses of the agents, and what all said on standard error."""
        deadline = time.monotonic() + within
        said = [agent.communicate(timeout=deadline - time.monotonic())[1] for agent in self.agents]
        for number in range(2):
            assert not Path(f"/proc/{self.rank(number)}").exists()
        return [agent.returncode for agent in self.agents], "\n".join(said)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def training(folder: Path, asked: dict[str, Any], restarts: int = 0, lost_after: float = 60) -> Iterator[Training]:
    begun = Training(folder, asked, restarts, lost_after)
    try:
        yield begun
    finally:
        for agent in begun.agents:
            agent.kill()
            agent.communicate()


def test_two_machines_train_what_one_process_trains(tmp_path: Path) -> None:
    asked = job(tmp_path, CONFIG)
    (tmp_path / "job.json").write_text(json.dumps(asked))
    with namespaces() as machines:
        words = [program(tmp_path, STEP), str(tmp_path / "job.json"), str(tmp_path / "two.pt")]
        for agent in agents(machines, words):
            _, said = agent.communicate(timeout=120)
            assert agent.returncode == 0, said
    shards, targets = [Path(shard) for shard in asked["crop_shards"]], Path(asked["targets"])
    assert_that_of_one(CONFIG, shards, targets, tmp_path / "two.pt")
    alone = train(CONFIG, shards, targets, tmp_path / "alone", lambda _: None)
    same_training(tmp_path / "out", alone.weights_path.parent)


def same_training(one: Path, other: Path) -> None:
    """Whether losses and validations of two trainings differ by rounding."""
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    assert [point["step"] for point in first["curve"]] == [point["step"] for point in second["curve"]]
    for point, same in zip(first["curve"], second["curve"], strict=True):
        assert point["loss"] == pytest.approx(same["loss"], rel=1e-3)
    assert first["score"] == pytest.approx(second["score"], abs=1e-2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A job, and what two ranks make of it where nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    asked = job(folder, LONG)
    with training(folder, asked) as whole:
        assert whole.ended(within=240)[0] == [0, 0]
    return asked, folder / "out"


@pytest.mark.parametrize("lost", [0, 1], ids=["the first", "another"])
def test_a_lost_rank_ends_training_and_it_goes_on_to_the_same_bytes(
    tmp_path: Path, undisturbed: tuple[dict[str, Any], Path], lost: int
) -> None:
    asked = undisturbed[0] | {"out": str(tmp_path / "out")}
    with training(tmp_path, asked) as disturbed:
        disturbed.under_way(steps=20)
        os.kill(disturbed.rank(lost), signal.SIGKILL)
        statuses, said = disturbed.ended(within=30)
    assert statuses == [1, 1]
    assert "another rank was lost (" in said
    assert "it goes on from its checkpoint" in said
    assert "LostRankError" not in said
    assert (tmp_path / "out" / "checkpoint.pt").exists()
    with training(tmp_path, asked) as resumed:
        resumed.under_way(steps=20)
        assert resumed.ended(within=180)[0] == [0, 0]
    for name in ("backbone.safetensors", "metrics.json"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed[1] / name).read_bytes()


def test_torchrun_starts_a_lost_rank_again(tmp_path: Path, undisturbed: tuple[dict[str, Any], Path]) -> None:
    asked = undisturbed[0] | {"out": str(tmp_path / "out")}
    with training(tmp_path, asked, restarts=1) as disturbed:
        disturbed.under_way(steps=20)
        lost = disturbed.rank(1)
        os.kill(lost, signal.SIGKILL)
        statuses, said = disturbed.ended(within=180)
        assert statuses == [0, 0], said
        assert disturbed.rank(1) != lost
    for name in ("backbone.safetensors", "metrics.json"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed[1] / name).read_bytes()


def test_a_rank_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with training(tmp_path, job(tmp_path, replace(LONG, steps=100_000)), lost_after=8) as hung:
        hung.under_way(steps=5)
        os.kill(hung.rank(1), signal.SIGSTOP)
        while Path(f"/proc/{hung.rank(0)}").exists():
            time.sleep(0.2)
        os.kill(hung.rank(1), signal.SIGCONT)
        statuses, said = hung.ended(within=30)
    assert statuses == [1, 1]
    assert "another rank was lost (" in said


def test_all_ranks_stop_with_a_checkpoint_where_one_machine_is_asked_to(tmp_path: Path) -> None:
    with training(tmp_path, job(tmp_path, replace(LONG, steps=100_000))) as stopped:
        stopped.under_way(steps=5)
        stopped.agents[1].send_signal(signal.SIGTERM)
        statuses, said = stopped.ended(within=30)
    assert 0 not in statuses
    assert "run the same job again to go on" in said
    assert (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_checkpoint_of_two_ranks_is_continued_by_one(
    tmp_path: Path, undisturbed: tuple[dict[str, Any], Path]
) -> None:
    asked = undisturbed[0] | {"out": str(tmp_path / "out")}
    with training(tmp_path, asked) as stopped:
        stopped.under_way(steps=20)
        stopped.agents[0].send_signal(signal.SIGTERM)
        stopped.ended(within=30)
    events: list[dict[str, Any]] = []
    run_job(asked, events.append)
    assert events[0]["event"] == "continued"
    assert events[0]["step"] >= 20
    same_training(tmp_path / "out", undisturbed[1])
