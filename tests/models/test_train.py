from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.pretext import TAGS
from models.train import (
    CHECKPOINT_FILE,
    NonFiniteLossError,
    TrainingDataError,
    TrainingStoppedError,
    train,
)
from models.train_config import TrainConfig
from models.weights import load_backbone
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
    config = TrainConfig(steps=150, batch_photos=16, patches=2, validation_every=50, validation_patches=2)
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

    metrics = json.loads(result.metrics_path.read_text())
    assert set(metrics["validation"]) == set(TAGS)
    assert metrics["curve"][-1]["loss"] < metrics["curve"][0]["loss"]
    loaded = load_backbone(result.backbone_path)
    assert loaded.header.preset == "compact"
    assert loaded.header.metrics["score"] == metrics["score"] == result.score
    assert loaded.header.provenance["training"]["steps"] == 150
    assert not (tmp_path / "out" / CHECKPOINT_FILE).exists()


def test_training_depends_on_the_seed_alone(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    first = train(QUICK, *small, tmp_path / "1", silent)
    again = train(QUICK, *small, tmp_path / "2", silent)
    other = train(replace(QUICK, seed=1), *small, tmp_path / "3", silent)
    assert first.backbone_path.read_bytes() == again.backbone_path.read_bytes()
    assert first.metrics_path.read_bytes() == again.metrics_path.read_bytes()
    assert first.backbone_path.read_bytes() != other.backbone_path.read_bytes()


def test_stopped_training_goes_on_from_its_checkpoint(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    whole = train(QUICK, *small, tmp_path / "whole", silent)
    asked = iter([False, False, False, True])
    with pytest.raises(TrainingStoppedError, match="step 4"):
        train(QUICK, *small, tmp_path / "parts", silent, lambda: next(asked))
    assert not (tmp_path / "parts" / "backbone.safetensors").exists()
    reports: list[dict[str, Any]] = []
    resumed = train(QUICK, *small, tmp_path / "parts", reports.append)
    assert reports[0] == {"event": "continued", "step": 4}
    assert resumed.metrics_path.read_bytes() == whole.metrics_path.read_bytes()
    assert resumed.backbone_path.read_bytes() == whole.backbone_path.read_bytes()


def test_checkpoint_of_another_job_is_not_continued(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError):
        train(QUICK, *small, tmp_path, silent, lambda: True)
    reports: list[dict[str, Any]] = []
    result = train(replace(QUICK, seed=5), *small, tmp_path, reports.append)
    assert reports[0] == {"event": "checkpoint_of_another_job", "step": 0}
    assert result.steps == 6


def test_crops_beyond_the_memory_budget_are_streamed(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    result = train(replace(QUICK, memory_bytes=0), *small, tmp_path, silent)
    assert result.steps == 6


def test_minutes_end_the_run_with_a_validation(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    config = replace(QUICK, steps=100_000, validation_every=100_000, minutes=0.03)
    result = train(config, *small, tmp_path, silent)
    assert 0 < result.steps < 1000
    assert result.best_step == result.steps


def test_loss_that_is_no_number_stops_training_and_says_where(small: tuple[list[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step \d+: the loss of .*iso.*lower the learning rate"):
        train(replace(QUICK, learning_rate=1e30), *small, tmp_path, silent)
    assert not (tmp_path / "backbone.safetensors").exists()


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


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch_photos": 1}, {"minutes": 0.0}])
def test_impossible_configurations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least|minutes"):
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
