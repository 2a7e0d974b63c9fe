"""`sdaie run` trains on a Ray cluster where `sdaie.toml` asks for it: the backbone in two ranks, the rest in one."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Sdaie
from tests.ray_cluster import ray_cluster
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus, set_coding, set_reconstruction, set_training
from warehouse.simulator import simulate_corpus

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_the_backbone_is_trained_by_two_machines(sdaie: Sdaie, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    simulate_corpus(home.simulated, photographs=50, groups=10, seed=0)
    add_corpus(home, "simulated", Corpus(source=str(home.simulated)))
    set_training(home, steps=6, ranks=2)
    set_reconstruction(home, autoencoder_steps=2, steps=2)
    set_coding(home, steps=2)
    # Where there is no cluster, the stage that needs it says so.
    for group in ("corpus", "exif"):
        assert sdaie(home.path, "run", "--only", group).returncode == 0
    refused = sdaie(home.path, "run", "--only", "training")
    assert refused.returncode == 1
    assert 'ranks = 2 in [training] needs a cluster: set engine = "ray" in [compute]' in refused.stderr
    with ray_cluster(nodes=2, cpus=2) as cluster:
        with home.registry.open("a") as registry:
            registry.write(f'\n[compute]\nengine = "ray"\naddress = "{cluster.address}"\n')
        done = sdaie(home.path, "run", "--only", "training")
    assert done.returncode == 0, done.stderr
    assert f"2 ranks on the Ray cluster ({cluster.address})" in done.stdout + done.stderr
    assert "ranks = 2 is of the backbone and the binary detector" in done.stdout + done.stderr
    (metrics,) = home.backbones.glob("*/metrics.json")
    assert json.loads(metrics.read_text())["steps"] == 6
