"""Training on a Ray cluster of two nodes: the same weights as by torchrun, and an end for every rank."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.models import synthetic_crops
from tests.ray_cluster import RayCluster, ray_cluster

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ENDLESS = {"steps": 1_000_000, "validation_every": 1_000_000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(nodes=2, cpus=1) as started:
        yield started


def job(folder: Path, **config: Any) -> Path:
    shards, targets = synthetic_crops.write(folder, photos=60)
    small = {"batch_photos": 8, "patches": 2, "validation_every": 3, "validation_patches": 1, "threads": 1}
    asked = {
        "config": {**small, **config},
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(folder / "out"),
    }
    (folder / "job.json").write_text(json.dumps(asked))
    return folder / "job.json"


@contextmanager
def training(cluster: RayCluster, asked: Path, ranks: int = 2) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "pipelines.ray_ranks", str(asked), "--ranks", str(ranks)]
    process = subprocess.Popen(
        [*words, "--address", cluster.address], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ranks_of(asked: Path) -> dict[int, int]:
    """Process id of each rank that trains on the job now; a rank is told by its environment and its crops."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = dict(
                pair.split(b"=", 1) for pair in (folder / "environ").read_bytes().split(b"\0") if b"=" in pair
            )
            if b"models.train" in words and str(asked.parent).encode() in (folder / "fd/0").read_bytes():
                found[int(environment[b"RANK"])] = int(folder.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def under_way(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert json.loads(said)["event"] == "progress"


def all_gone(asked: Path, within: float) -> None:
    deadline = time.monotonic() + within
    while left := ranks_of(asked):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_two_ranks_on_a_cluster_leave_the_bytes_of_two_under_torchrun(cluster: RayCluster, tmp_path: Path) -> None:
    asked = job(tmp_path, steps=6)
    with training(cluster, asked) as process:
        said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert [json.loads(line)["event"] for line in said.splitlines()] == [
        "progress",
        "validation",
        "validation",
        "finished",
    ]
    whole = json.loads(asked.read_text()) | {"out": str(tmp_path / "torchrun")}
    asked.write_text(json.dumps(whole))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, "-m", "models.train", str(asked)], cwd=ROOT, check=True, capture_output=True)
    for name in ("backbone.safetensors", "metrics.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "torchrun" / name).read_bytes()


def test_jobs_of_ray_train(tmp_path: Path) -> None:
    asked = str(job(tmp_path, steps=3))
    on_one = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "models.train", asked]
    on_all = ["pipelines.ray_ranks", asked, "--ranks", "2"]
    with ray_cluster(nodes=2, cpus=1, dashboard=True) as own:
        for entry in (on_one, on_all):
            submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", own.dashboard, "--"]
            words = [*submit, sys.executable, "-m", *entry]
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert '"event": "finished"' in done.stdout
            (tmp_path / "out" / "backbone.safetensors").unlink()


def test_a_killed_rank_ends_training_with_a_sentence(cluster: RayCluster, tmp_path: Path) -> None:
    asked = job(tmp_path, **ENDLESS)
    with training(cluster, asked) as process:
        under_way(process)
        os.kill(ranks_of(asked)[1], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.splitlines()[-1] == (
            "rank 1 was killed by SIGKILL; run the same job again: it goes on from its checkpoint"
        )
        all_gone(asked, within=0)
    assert (tmp_path / "out" / "checkpoint.pt").exists()


@pytest.mark.parametrize("way", ["asked", "killed"])
def test_all_ranks_end_when_training_is_asked_to_or_its_process_is_killed(
    cluster: RayCluster, tmp_path: Path, way: str
) -> None:
    asked = job(tmp_path, **ENDLESS)
    with training(cluster, asked) as process:
        under_way(process)
        assert set(ranks_of(asked)) == {0, 1}
        process.send_signal(signal.SIGTERM if way == "asked" else signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        if way == "asked":
            assert process.returncode == 143
            assert "run the same job again to go on" in errors
            assert (tmp_path / "out" / "checkpoint.pt").exists()
        all_gone(asked, within=40)


def test_a_rank_that_hangs_is_ended(cluster: RayCluster, tmp_path: Path) -> None:
    asked = job(tmp_path, **ENDLESS)
    with training(cluster, asked) as process:
        under_way(process)
        os.kill(ranks_of(asked)[1], signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=75)
        assert process.returncode == 143
        assert "stopped before a checkpoint was written" in errors
        all_gone(asked, within=5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dagster", "ignore::dagster.PreviewWarning")
def test_an_asset_trains_on_the_cluster_through_pipes(
    cluster: RayCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = json.loads(job(tmp_path, steps=4).read_text())
    refused = asked | {"config": {**asked["config"], "batch_photos": 7}}

    @dg.asset
    def backbone(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> dg.MaterializeResult[None]:
        command = [sys.executable, "-m", "pipelines.train_process"]
        said = []
        for each in (asked, refused):
            extras = {**each, "cluster": {"ranks": 2, "address": cluster.address}}
            ended = pipes.run(context=context, command=command, cwd=str(ROOT), extras=extras)
            said.append([message["error"] for message in ended.get_custom_messages()])
        assert said == [[], ["7 photographs a step cannot be shared by 2 ranks"]]
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        pipes = {"pipes": dg.PipesSubprocessClient()}
        assert dg.materialize([backbone], instance=instance, resources=pipes).success
    logged = capfd.readouterr().err
    assert "step 1 of 4, loss" in logged
    assert "finished after 4 steps" in logged
    assert (tmp_path / "out" / "backbone.safetensors").exists()


def test_what_a_rank_cannot_do_is_said_once(cluster: RayCluster, tmp_path: Path) -> None:
    asked = job(tmp_path, steps=3, batch_photos=7)
    with training(cluster, asked) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "7 photographs a step cannot be shared by 2 ranks"


def test_a_cluster_without_room_is_named(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = job(tmp_path, steps=3)
    program = "from pipelines import ray_ranks as r; r.PLACED_WITHIN = 3.0; r.main()"
    words = [sys.executable, "-c", program, str(asked), "--ranks", "3", "--address", cluster.address]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no room for 3 ranks, which take 3 CPUs: it has 2 CPUs" in done.stderr


def test_a_lost_machine_is_named(tmp_path: Path) -> None:
    asked = job(tmp_path, **ENDLESS)
    with ray_cluster(nodes=2, cpus=1) as own, training(own, asked) as process:
        under_way(process)
        (lost,) = (rank for rank, pid in ranks_of(asked).items() if own.node_of(pid) == 1)
        own.kill_node(1)
        _, errors = process.communicate(timeout=90)
        assert process.returncode == 1
        assert f"the machine of rank {lost} was lost; run the same job again" in errors.splitlines()[-1]
        all_gone(asked, within=5)
    if lost == 1:  # the first rank writes checkpoints
        assert (tmp_path / "out" / "checkpoint.pt").exists()


def test_no_cluster_is_said_at_once(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "pipelines.ray_ranks",
        str(job(tmp_path)),
        "--ranks",
        "2",
        "--address",
        "127.0.0.1:1",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "no Ray cluster answers at '127.0.0.1:1'" in done.stderr
