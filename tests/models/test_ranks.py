"""Two processes train what one trains: the batch, the losses and the gradients are those of one rank."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from models.binary_config import BinaryConfig
from models.binary_data import read_binary_data
from models.binary_run import BinaryRun
from models.ranks import Ranks, interface_towards
from models.run import TrainingDataError
from models.stopping import TrainingStoppedError
from models.train import train
from models.train_config import TrainConfig
from models.training_run import read_data
from models.weights import load_backbone
from tests.models import synthetic_crops, synthetic_images
from tests.models.first_step import assert_that_of_one

ROOT = Path(__file__).parents[2]
CONFIG = TrainConfig(steps=3, batch_photos=8, patches=2, validation_every=3, validation_patches=1, threads=1)

# One step's losses and gradients under torchrun; the first rank writes them.
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from models.ranks import joined_ranks
from models.train_config import TrainConfig
from models.training_run import TrainingRun, read_data
shards, targets, config, out = json.loads(sys.argv[1])
torch.set_num_threads(1)
with joined_ranks() as ranks:
    config = TrainConfig(**config)
    run = TrainingRun(config, read_data(config, [Path(s) for s in shards], Path(targets), ranks), "", ranks)
    losses = run.gradients_of(run.data.batches.batch(0))
    if ranks.first:
        torch.save({"losses": losses, "gradients": {n: p.grad for n, p in run.network.named_parameters()}}, out)
    run.data.batches.close()
"""


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_first_step_of_two_ranks_is_that_of_one(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    (tmp_path / "step.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}")
    given = [[str(shard) for shard in shards], str(targets), vars(CONFIG), str(tmp_path / "two.pt")]
    done = torchrun(str(tmp_path / "step.py"), json.dumps(given))
    assert done.returncode == 0, done.stderr
    assert_that_of_one(CONFIG, shards, targets, tmp_path / "two.pt")


@pytest.mark.slow
def test_two_ranks_train_as_a_program_and_only_the_first_speaks(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    job = {
        "config": vars(CONFIG),
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(tmp_path / "out"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = torchrun("-m", "models.train", str(tmp_path / "job.json"))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines() if line.startswith("{")]
    assert events == ["progress", "validation", "finished"]
    assert (tmp_path / "out" / "backbone.safetensors").exists()


# Each rank has a folder of its own, and may have been given a seed of its own.
APART = """
import json, sys
from pathlib import Path
from models.ranks import joined_ranks
from models.train import run_job
job = json.loads(sys.argv[1])
with joined_ranks() as ranks:
    job["config"]["seed"] = job.pop("seeds")[ranks.rank]
    run_job(job | {"out": f"{job['out']}/{ranks.rank}"}, lambda report: print(json.dumps(report)), ranks=ranks)
"""


def apart(folder: Path, seeds: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    (folder / "apart.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{APART}")
    job = {
        "config": vars(CONFIG),
        "crop_shards": [str(shard) for shard in sorted(folder.glob("crops-*.parquet"))],
        "targets": str(folder / "targets.parquet"),
        "out": str(folder),
        "seeds": seeds,
    }
    return torchrun(str(folder / "apart.py"), json.dumps(job))


@pytest.mark.slow
def test_the_first_rank_reads_the_checkpoint_for_all(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    asked = iter([False, True])
    with pytest.raises(TrainingStoppedError):
        train(CONFIG, shards, targets, tmp_path / "0", lambda _: None, lambda: next(asked))
    done = apart(tmp_path, (0, 0))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(event["event"], event["step"]) for event in events if event["event"] != "progress"] == [
        ("continued", 2),
        ("validation", 3),
        ("finished", 3),
    ]
    assert (tmp_path / "0" / "backbone.safetensors").exists()
    assert not (tmp_path / "1").exists()


@pytest.mark.slow
def test_ranks_that_were_given_different_jobs_end(tmp_path: Path) -> None:
    synthetic_crops.write(tmp_path, photos=60)
    done = apart(tmp_path, (0, 1))
    assert done.returncode != 0
    assert "the ranks were given different jobs" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the names of interfaces are asked of Linux")
def test_the_interface_towards_a_machine_is_named() -> None:
    assert interface_towards("127.0.0.1") == "lo"
    assert interface_towards("no-such-host.invalid") is None


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    with pytest.raises(TrainingDataError, match="8 photographs a step cannot be shared by 3 ranks"):
        read_data(CONFIG, shards, targets, Ranks(rank=0, count=3))


# The same for the binary detector, whose ranks share each class.
BINARY = """
import json, sys
from pathlib import Path
import torch
from models.binary_config import BinaryConfig
from models.binary_data import read_binary_data
from models.binary_run import BinaryRun
from models.ranks import joined_ranks
from models.weights import load_backbone
job, config, out = json.loads(sys.argv[1])
torch.set_num_threads(1)
with joined_ranks() as ranks:
    config = BinaryConfig(**config)
    data = read_binary_data(config, [Path(s) for s in job["crop_shards"]], Path(job["images"]), None, ranks)
    run = BinaryRun(config, data, load_backbone(Path(job["pretext"])), "", ranks)
    losses = run.gradients_of(data.batches.batch(0))
    if ranks.first:
        torch.save({"losses": losses, "gradients": {n: p.grad for n, p in run.network.named_parameters()}}, out)
    data.batches.close()
"""


@pytest.mark.slow
def test_first_step_of_two_ranks_of_the_binary_detector_is_that_of_one(tmp_path: Path) -> None:
    job = synthetic_images.write(tmp_path, images=60)
    (tmp_path / "step.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{BINARY}")
    config = BinaryConfig(batch_images=8, patches=2, validation_patches=1, threads=1)
    done = torchrun(str(tmp_path / "step.py"), json.dumps([job, vars(config), str(tmp_path / "two.pt")]))
    assert done.returncode == 0, done.stderr
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    data = read_binary_data(config, [Path(s) for s in job["crop_shards"]], Path(job["images"]), None, Ranks())
    with closing(data.batches):
        run = BinaryRun(config, data, load_backbone(Path(job["pretext"])), "", Ranks())
        losses = run.gradients_of(data.batches.batch(0))
    assert set(losses) == {"cross_entropy", "tap_distance"}
    assert losses == pytest.approx(two["losses"], rel=1e-4, abs=1e-6)
    for name, parameter in run.network.named_parameters():
        assert parameter.grad is not None
        one, other = parameter.grad.numpy(), two["gradients"][name].numpy()
        assert np.abs(one - other).max() <= 1e-3 * np.abs(one).max() + 1e-7, name
