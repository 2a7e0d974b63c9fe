from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.checkpoints import LATEST, PREVIOUS
from models.pretext import TAGS
from models.ranks import Ranks
from models.run import NonFiniteLossError, TrainingDataError
from models.stopping import TrainingStoppedError
from models.train import train
from models.train_config import TrainConfig, train_config
from models.training_run import TrainingRun, read_data
from models.weights import load_backbone, untrained
from tests.models import synthetic_crops

ROOT = Path(__file__).parents[2]
QUICK = TrainConfig(steps=6, batch_photos=8, patches=2, validation_every=3, validation_patches=2, learning_rate=1e-3)


def silent(_: dict[str, Any]) -> None:
    pass


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    return synthetic_crops.write(tmp_path_factory.mktemp("small"), photos=60)


def test_noise_and_blur_are_learned_and_told_on_unseen_groups(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=300)
    # Whether the strength of noise, which LayerNorm hides, is found within so few steps depends on the first weights.
    config = TrainConfig(steps=150, batch_photos=16, patches=2, validation_every=50, validation_patches=2, seed=1)
    reports: list[dict[str, Any]] = []
    result = train(config, shards, targets, tmp_path / "out", reports.append)
    for tag in ("iso", "exposure_time_s"):
        accuracy = result.validation[tag]["accuracy"]
        assert accuracy is not None
        assert accuracy > 0.8, tag
    assert result.validation["make"]["labelled"] > 40
    assert (result.validation["make"]["accuracy"] or 0) > result.validation["make"]["baseline"] + 0.1
    assert result.validation["exposure_mode"]["accuracy"] is None
    assert result.validation["f_number"]["tie_rate"] == 1
    assert [r["step"] for r in reports if r["event"] == "validation"] == [50, 100, 150]
    assert reports[-1]["event"] == "finished"
    assert 0 < reports[-1]["waited"] == round(result.waited, 4) < 1

    metrics = json.loads(result.metrics_path.read_text())
    assert set(metrics["validation"]) == set(TAGS)
    assert metrics["curve"][-1]["loss"] < metrics["curve"][0]["loss"]
    loaded = load_backbone(result.weights_path)
    assert loaded.header.preset == "compact"
    assert loaded.header.metrics["score"] == metrics["score"] == result.score
    assert loaded.header.provenance["training"]["steps"] == 150
    assert not (tmp_path / "out" / LATEST).exists()


def test_training_depends_on_the_seed_alone(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    first = train(QUICK, *small, tmp_path / "1", silent)
    again = train(QUICK, *small, tmp_path / "2", silent)
    other = train(replace(QUICK, seed=1), *small, tmp_path / "3", silent)
    assert first.weights_path.read_bytes() == again.weights_path.read_bytes()
    assert first.metrics_path.read_bytes() == again.metrics_path.read_bytes()
    assert first.weights_path.read_bytes() != other.weights_path.read_bytes()


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "streamed"])
def test_stopped_training_goes_on_to_the_same_bytes(
    small: tuple[list[Path], Path], tmp_path: Path, memory: int
) -> None:
    config = replace(QUICK, memory_bytes=memory)
    whole = train(config, *small, tmp_path / "whole", silent)
    asked = iter([False, False, False, True])
    with pytest.raises(TrainingStoppedError, match="step 4"):
        train(config, *small, tmp_path / "parts", silent, lambda: next(asked))
    assert not (tmp_path / "parts" / "backbone.safetensors").exists()
    reports: list[dict[str, Any]] = []
    resumed = train(config, *small, tmp_path / "parts", reports.append)
    assert reports[0] == {"event": "continued", "step": 4}
    assert resumed.metrics_path.read_bytes() == whole.metrics_path.read_bytes()
    assert resumed.weights_path.read_bytes() == whole.weights_path.read_bytes()


def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(
    small: tuple[list[Path], Path], tmp_path: Path
) -> None:
    whole = train(QUICK, *small, tmp_path / "whole", silent)
    folder = tmp_path / "parts"
    for stops in (2, 1):
        asked = iter([False] * (stops - 1) + [True])
        with pytest.raises(TrainingStoppedError):
            train(QUICK, *small, folder, silent, lambda: next(asked))  # noqa: B023
    content = bytearray((folder / LATEST).read_bytes())
    content[-100] ^= 1
    (folder / LATEST).write_bytes(content)
    reports: list[dict[str, Any]] = []
    resumed = train(QUICK, *small, folder, reports.append)
    assert [report["event"] for report in reports[:2]] == ["checkpoint_damaged", "continued"]
    assert reports[1]["step"] == 2
    assert resumed.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert not (folder / PREVIOUS).exists()


def test_checkpoint_of_another_job_is_not_continued(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError):
        train(QUICK, *small, tmp_path, silent, lambda: True)
    reports: list[dict[str, Any]] = []
    result = train(replace(QUICK, seed=5), *small, tmp_path, reports.append)
    assert reports[0]["event"] == "checkpoint_of_another_job"
    assert result.steps == 6


def test_minutes_interrupt_a_run_that_goes_on_later(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    whole = train(QUICK, *small, tmp_path / "whole", silent)
    with pytest.raises(TrainingStoppedError, match="minutes are over"):
        train(replace(QUICK, minutes=1e-6), *small, tmp_path / "parts", silent)
    resumed = train(QUICK, *small, tmp_path / "parts", silent)
    assert resumed.weights_path.read_bytes() == whole.weights_path.read_bytes()


def test_training_ends_early_where_validation_brings_nothing_better(
    small: tuple[list[Path], Path], tmp_path: Path
) -> None:
    config = replace(QUICK, steps=50, validation_every=1, learning_rate=1e-9, patience=2)
    result = train(config, *small, tmp_path, silent)
    assert result.steps < 50
    assert result.steps == result.best_step + 2


def test_a_disk_that_is_full_is_said_and_training_goes_on(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    program = """
import json, resource, sys
from pathlib import Path
from models import train as program
from models.train_config import TrainConfig
program.CHECKPOINT_SECONDS = 0.0
shards, targets, out = json.loads(sys.argv[1])
# A checkpoint holds the optimiser's state and is larger than the weights alone.
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
config = TrainConfig(steps=3, batch_photos=8, patches=1, validation_every=3, validation_patches=1)
program.train(config, [Path(s) for s in shards], Path(targets), Path(out), lambda r: print(json.dumps(r)))
"""
    shards, targets = small
    given = json.dumps([[str(shard) for shard in shards], str(targets), str(tmp_path / "out")])
    done = subprocess.run([sys.executable, "-c", program, given], cwd=ROOT, capture_output=True, text=True, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    unwritten = [report for report in reports if report["event"] == "checkpoint_not_written"]
    assert len(unwritten) == 3
    assert "File too large" in unwritten[0]["message"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["backbone.safetensors", "metrics.json"]


@pytest.mark.slow
def test_weights_that_cannot_be_written_leave_the_checkpoint_to_go_on_from(
    small: tuple[list[Path], Path], tmp_path: Path
) -> None:
    job = {
        "config": asdict(QUICK),
        "crop_shards": [str(shard) for shard in small[0]],
        "targets": str(small[1]),
        "out": str(tmp_path / "out"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    whole = train(QUICK, *small, tmp_path / "whole", silent)
    asked = iter([False, True])
    with pytest.raises(TrainingStoppedError):
        train(QUICK, *small, tmp_path / "out", silent, lambda: next(asked))
    program = """
import resource, signal, sys
from pathlib import Path
from models.train import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
main(Path(sys.argv[1]))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "job.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LATEST]
    resumed = train(QUICK, *small, tmp_path / "out", silent)
    assert resumed.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert resumed.metrics_path.read_bytes() == whole.metrics_path.read_bytes()


def test_the_published_schedule_is_there_by_name() -> None:
    config = train_config("published", steps=10)
    assert (config.preset, config.batch_photos, config.patches, config.start) == ("full", 128, 16, "random")
    assert config.rate_of_step(0) == config.rate_of_step(9) == 1e-4
    with pytest.raises(ValueError, match="there are default, published"):
        train_config("fast")


def test_loss_that_is_no_number_stops_training_and_says_where(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step \d+: the loss of .*iso.*lower the learning rate"):
        train(replace(QUICK, learning_rate=1e30), *small, tmp_path, silent)
    assert not (tmp_path / "backbone.safetensors").exists()
    assert (tmp_path / LATEST).exists()


def test_a_gradient_that_is_no_number_never_reaches_the_weights(small: tuple[list[Path], Path]) -> None:
    data = read_data(QUICK, *small, Ranks())
    run = TrainingRun(QUICK, data, "", Ranks())
    run.heads.get_parameter("linear.make.weight").data.zero_()[0] = 1e36
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    with (
        closing(data.batches),
        pytest.raises(NonFiniteLossError, match="step 1: the norm of the gradient"),
    ):
        run.train_step(data.batches.batch(0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.network.state_dict().items())
    assert run.step == 0


@pytest.mark.parametrize("start", ["random", "differences"])
def test_the_stem_starts_as_asked(small: tuple[list[Path], Path], start: Literal["random", "differences"]) -> None:
    config = replace(QUICK, start=start)
    with closing((data := read_data(config, *small, Ranks())).batches):
        run = TrainingRun(config, data, "", Ranks())
    expected = untrained(config.preset, config.seed)
    if start == "differences":
        expected.stem.start_on_colour_differences()
    for name, weights in run.backbone.state_dict().items():
        assert torch.equal(weights, expected.state_dict()[name])


def test_too_few_photographs_are_refused(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    shards, targets = small
    few = tmp_path / "few.parquet"
    pq.write_table(pq.read_table(targets).slice(0, 16), few)
    with pytest.raises(TrainingDataError, match=r"12 photographs .* at least 16"):
        train(QUICK, shards, few, tmp_path / "out", silent)
    unheld = pq.read_table(targets).filter(pa.compute.field("fold") < 3)
    pq.write_table(unheld, few)
    with pytest.raises(ValueError, match="cut the crops first"):
        train(QUICK, shards, few, tmp_path / "out", silent)


def test_fold_4_is_never_touched(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    shards, targets = small
    kept = pq.read_table(targets).filter(pa.compute.field("fold") < 4)
    pq.write_table(kept, tmp_path / "kept.parquet")
    with_fold = train(QUICK, shards, targets, tmp_path / "1", silent)
    without = train(QUICK, shards, tmp_path / "kept.parquet", tmp_path / "2", silent)
    assert with_fold.score == without.score
    assert with_fold.validation == without.validation


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch_photos": 1}, {"start": "zero"}, {"minutes": 0.0}])
def test_impossible_configurations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least|minutes|start"):
        TrainConfig(**changes)


def test_runs_as_a_program(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    shards, targets = small
    job = {
        "config": {"steps": 2, "batch_photos": 4, "patches": 1, "validation_every": 1, "validation_patches": 1},
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(tmp_path / "out"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [sys.executable, "-m", "models.train", str(tmp_path / "job.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["progress", "validation", "validation", "finished"]
    assert (tmp_path / "out" / "backbone.safetensors").exists()


def test_the_program_writes_its_checkpoint_when_terminated(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    job = {
        "config": asdict(replace(QUICK, steps=1_000_000, validation_every=1_000_000)),
        "crop_shards": [str(shard) for shard in small[0]],
        "targets": str(small[1]),
        "out": str(tmp_path / "out"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "models.train", str(tmp_path / "job.json")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=60) == 143
        assert re.search(r"stopped after step \d+; run the same job again", process.stderr.read())
    assert (tmp_path / "out" / LATEST).exists()
