import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.train_process import line
from tests.models import synthetic_crops
from tests.processes import runs

ROOT = Path(__file__).parents[2]
# Dagster's own Pipes client uses what Dagster deprecates and what it only previews.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]

PROGRAM = [sys.executable, "-m", "pipelines.train_process"]


def job(folder: Path, **config: Any) -> dict[str, Any]:
    shards, targets = synthetic_crops.write(folder, photos=60)
    small = {"batch_photos": 4, "patches": 1, "validation_every": 2, "validation_patches": 1}
    return {
        "config": {**small, **config},
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(folder / "out"),
    }


def materialize(extras: dict[str, Any], instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    @dg.asset
    def backbone(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> dg.MaterializeResult[None]:
        pipes.run(context=context, command=PROGRAM, cwd=str(ROOT), extras=extras)
        return dg.MaterializeResult(metadata={"trained": True})

    return dg.materialize(
        [backbone], instance=instance, resources={"pipes": dg.PipesSubprocessClient()}, raise_on_error=False
    )


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_an_asset_trains_through_pipes_and_logs_its_progress(
    tmp_path: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    result = materialize(job(tmp_path, steps=4), instance)
    assert result.success
    assert (tmp_path / "out" / "backbone.safetensors").exists()
    assert (tmp_path / "out" / "metrics.json").exists()
    logged = capfd.readouterr().err
    assert "step 1 of 4, loss" in logged
    assert "step 2: validation" in logged
    assert "finished after 4 steps" in logged


def test_a_job_that_cannot_run_fails_the_asset(
    tmp_path: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    extras = job(tmp_path, steps=4)
    Path(extras["targets"]).unlink()
    assert not materialize(extras, instance).success
    assert "No such file or directory" in capfd.readouterr().err
    assert not (tmp_path / "out" / "backbone.safetensors").exists()


def test_lines_of_the_binary_detector_name_the_parts_of_its_loss() -> None:
    progress = {
        "event": "progress",
        "step": 20,
        "steps": 100,
        "loss": 0.71,
        "losses": {"cross_entropy": 0.65, "tap_distance": 0.06},
        "patches_per_second": 640.0,
        "seconds_left": 12,
    }
    assert line(progress) == (
        "step 20 of 100, loss 0.71 (cross entropy 0.650, tap distance 0.060), 640 patches/s, about 12 s left"
    )
    validation = {
        "event": "validation",
        "step": 20,
        "score": -0.3,
        "accuracy": 0.9,
        "cross_entropy": 0.3,
        "waited": 0.0,
    }
    assert line(validation) == (
        "step 20: validation accuracy 0.900, cross-entropy 0.300, waited for data 0.0% of the time"
    )


# The parent of the training process: starts it as Pipes would, says its id, and waits.
PARENT = """
import json, os, subprocess, sys
from dagster_pipes import encode_param
extras = json.loads(sys.argv[1])
context, messages = sys.argv[2] + "/context", sys.argv[2] + "/messages"
json.dump({"extras": extras}, open(context, "w"))
environment = {**os.environ, "DAGSTER_PIPES_CONTEXT": encode_param({"path": context}),
               "DAGSTER_PIPES_MESSAGES": encode_param({"path": messages})}
child = subprocess.Popen([sys.executable, "-m", "pipelines.train_process"], env=environment)
print(child.pid, flush=True)
sys.exit(child.wait())
"""


def wait_for(found: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.05)


def gone(process: int) -> bool:
    return not runs(process)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
@pytest.mark.parametrize("way", ["terminated", "orphaned"])
def test_stopping_keeps_a_checkpoint(tmp_path: Path, way: str) -> None:
    extras = job(tmp_path, steps=1_000_000, validation_every=1_000_000)
    command = [sys.executable, "-c", PARENT, json.dumps(extras), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        messages = tmp_path / "messages"
        wait_for(lambda: messages.exists() and "patches/s" in messages.read_text())
        if way == "terminated":
            os.kill(child, signal.SIGTERM)
            assert parent.wait(timeout=30) == 143
        else:
            parent.kill()
        wait_for(lambda: gone(child))
    assert (tmp_path / "out" / "checkpoint.pt").exists()
    assert not (tmp_path / "out" / "backbone.safetensors").exists()
