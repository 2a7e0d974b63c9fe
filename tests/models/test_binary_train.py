"""Training of the binary detector: what is learned, and that an interrupted run ends in the same bytes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.backbone import Backbone, Taps
from models.binary_config import BinaryConfig
from models.binary_data import read_binary_data
from models.binary_run import BinaryRun
from models.checkpoints import LATEST
from models.ranks import Ranks
from models.run import NonFiniteLossError, TrainingDataError
from models.stopping import TrainingStoppedError
from models.train import Report, TrainResult, run_job
from models.weights import load_backbone, load_binary, read_header
from tests.models import synthetic_images
from tests.models.test_train_killed import KILLS, PROGRAM

ROOT = Path(__file__).parents[2]
QUICK = BinaryConfig(
    steps=6, batch_images=4, patches=1, validation_every=3, validation_patches=1, validation_images=8, threads=1
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return synthetic_images.write(tmp_path_factory.mktemp("images"), images=120)


def silent(_: dict[str, Any]) -> None:
    pass


def train(
    job: dict[str, Any],
    config: BinaryConfig,
    out: Path,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    return run_job({**job, "config": asdict(config), "out": str(out)}, report, stop)


def make(job: dict[str, Any], config: BinaryConfig) -> BinaryRun:
    shards = [Path(shard) for shard in job["crop_shards"]]
    data = read_binary_data(config, shards, Path(job["images"]), None, Ranks())
    return BinaryRun(config, data, load_backbone(Path(job["pretext"])), "", Ranks())


def test_enlarged_pictures_are_told_from_others_in_a_few_steps(job: dict[str, Any], tmp_path: Path) -> None:
    config = replace(QUICK, steps=24, batch_images=16, validation_every=12, validation_patches=2, validation_images=64)
    reports: list[dict[str, Any]] = []
    result = train(job, config, tmp_path / "out", reports.append)
    assert result.validation["accuracy"] > 0.9
    assert result.validation["images"] == 14
    (first, second) = [report for report in reports if report["event"] == "validation"]
    assert (first["step"], second["step"]) == (12, 24)
    assert max(first["score"], second["score"]) == result.score == -result.validation["cross_entropy"]
    assert set(reports[0]["losses"]) == {"cross_entropy", "tap_distance"}
    assert reports[-1]["event"] == "finished"

    metrics = json.loads(result.metrics_path.read_text())
    assert (metrics["photographs"], metrics["generated"]) == (47, 47)
    network, header = load_binary(result.weights_path), read_header(result.weights_path)
    assert (header.origin, header.preset, header.vocabulary) == ("trained", "compact", None)
    assert header.provenance["training"]["alpha"] == 0.05
    wanted = load_backbone(Path(job["pretext"])).backbone.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.pretext.state_dict().items())
    assert not any(torch.equal(p, wanted[name]) for name, p in network.own.named_parameters() if "conv" in name)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["binary.safetensors", "metrics.json"]


def test_the_loss_is_the_cross_entropy_and_alpha_times_the_distances_of_the_taps(job: dict[str, Any]) -> None:
    run = make(job, replace(QUICK, alpha=0.5))
    batch = run.data.batches.batch(0)
    losses = run.losses_of(batch)
    patches = torch.from_numpy(batch.patches).permute(0, 1, 4, 2, 3).float() / 255
    distances = run.binary.tap_distances(patches.flatten(0, 1))
    assert losses["tap_distance"].item() == pytest.approx(0.5 * distances.sum().item(), rel=1e-5)
    said = run.binary(patches).log_softmax(dim=1)
    wanted = -(said[:2, 0].sum() + said[2:, 1].sum()) / 4
    assert losses["cross_entropy"].item() == pytest.approx(wanted.item(), rel=1e-5)
    run.train_step(batch)
    assert all(parameter.grad is None for parameter in run.binary.pretext.parameters())
    assert all(parameter.grad is not None for parameter in run.network.parameters())
    run.data.batches.close()


def test_without_alpha_the_pretext_backbone_is_not_run(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(job, replace(QUICK, alpha=0.0))
    taps, asked = Backbone.taps, []

    def noted(backbone: Backbone, patches: torch.Tensor) -> Taps:
        asked.append(backbone)
        return taps(backbone, patches)

    monkeypatch.setattr(Backbone, "taps", noted)
    with closing(run.data.batches):
        assert set(run.train_step(run.data.batches.batch(0))) == {"cross_entropy"}
    assert asked == [run.binary.own]


def test_first_weights_are_no_copy_of_the_pretext_backbones(job: dict[str, Any], tmp_path: Path) -> None:
    run = make(job, replace(QUICK, seed=3))
    run.data.batches.close()
    own, pretext = run.binary.own, run.binary.pretext
    # The pretext backbone here is the random one of the same seed.
    assert not torch.equal(own.get_parameter("stem.conv.weight"), pretext.get_parameter("stem.conv.weight"))


def test_stopped_training_goes_on_to_the_same_bytes(job: dict[str, Any], tmp_path: Path) -> None:
    whole = train(job, QUICK, tmp_path / "whole")
    asked = iter([False, False, False, True])
    with pytest.raises(TrainingStoppedError, match="step 4"):
        train(job, QUICK, tmp_path / "parts", silent, lambda: next(asked))
    reports: list[dict[str, Any]] = []
    resumed = train(job, QUICK, tmp_path / "parts", reports.append)
    assert reports[0] == {"event": "continued", "step": 4}
    assert resumed.weights_path.read_bytes() == whole.weights_path.read_bytes()
    assert resumed.metrics_path.read_bytes() == whole.metrics_path.read_bytes()


@pytest.mark.parametrize("change", ["alpha", "left_out", "pretext"])
def test_a_checkpoint_of_another_job_is_named_and_not_used(job: dict[str, Any], tmp_path: Path, change: str) -> None:
    short = replace(QUICK, steps=2)
    with pytest.raises(TrainingStoppedError):
        train(job, short, tmp_path / "out", silent, lambda: True)
    other, config = dict(job), short
    if change == "alpha":
        config = replace(short, alpha=0.1)
    elif change == "left_out":
        other["left_out"] = "x"
    else:
        other["pretext"] = synthetic_images.pretext(tmp_path, seed=4)
    reports: list[dict[str, Any]] = []
    assert train(other, config, tmp_path / "out", reports.append).steps == 2
    assert reports[0]["event"] == "checkpoint_of_another_job"


def test_training_depends_on_the_seed_alone(job: dict[str, Any], tmp_path: Path) -> None:
    short = replace(QUICK, steps=2)
    first, again = (train(job, short, tmp_path / name) for name in ("1", "2"))
    other = train(job, replace(short, seed=1), tmp_path / "3")
    assert first.weights_path.read_bytes() == again.weights_path.read_bytes()
    assert first.weights_path.read_bytes() != other.weights_path.read_bytes()


def test_a_loss_that_is_no_number_stops_training_with_the_last_good_state(job: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step \d+: the .*lower the learning rate"):
        train(job, replace(QUICK, learning_rate=1e30), tmp_path)
    assert not (tmp_path / "binary.safetensors").exists()
    assert (tmp_path / LATEST).exists()


def test_epochs_become_steps(job: dict[str, Any], tmp_path: Path) -> None:
    result = train(job, replace(QUICK, epochs=1, batch_images=48, validation_patches=1), tmp_path)
    assert result.steps == 2  # 94 images


def test_a_backbone_of_another_size_is_refused(job: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="preset full cannot be kept near a backbone of preset compact"):
        train(job, replace(QUICK, preset="full"), tmp_path)


def test_another_task_is_refused(job: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no task 'other'; there are pretext, binary"):
        train(job | {"task": "other"}, QUICK, tmp_path)


@pytest.mark.slow
def test_killed_training_ends_in_the_bytes_of_an_undisturbed_one(job: dict[str, Any], tmp_path: Path) -> None:
    config = replace(QUICK, steps=60, validation_every=15, patience=0)
    whole = train(job, config, tmp_path / "whole")
    given = {**job, "config": asdict(config), "out": str(tmp_path / "killed")}
    (tmp_path / "job.json").write_text(json.dumps(given))
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
    for path in (whole.weights_path, whole.metrics_path):
        assert (tmp_path / "killed" / path.name).read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "killed").iterdir())) == 2
