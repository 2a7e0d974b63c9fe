"""Training killed at any step ends in the same bytes as training that was left alone."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.train import run_job
from tests.models import synthetic_crops

ROOT = Path(__file__).parents[2]
KILLS = 6

# A checkpoint after every step, so that a kill may also hit its writing.
PROGRAM = """
import json, sys
from pathlib import Path
from models import train
train.CHECKPOINT_SECONDS = 0.0
train.run_job(json.loads(Path(sys.argv[1]).read_text()), lambda report: print(json.dumps(report), flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "streamed"])
def test_killed_training_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path, memory: int) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    job = {
        "config": {
            "steps": 60,
            "batch_photos": 8,
            "patches": 2,
            "validation_every": 15,
            "validation_patches": 2,
            "memory_bytes": memory,
            "patience": 0,
        },
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(tmp_path / "killed"),
    }
    undisturbed = run_job(job | {"out": str(tmp_path / "whole")}, lambda _: None)
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "job.json")]
    moments = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0.0, 1.0))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    assert killed >= 2  # a fast machine is done before the last of them
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "finished"
    for name in ("backbone.safetensors", "metrics.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert undisturbed.steps == 60
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["backbone.safetensors", "metrics.json"]
