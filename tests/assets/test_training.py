"""Where a training job is started: in one process here, or in several on a cluster."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assets.stage import Context
from assets.training import METRICS, TRAIN_PROCESS, launched
from warehouse.home import Home, UserError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def started(home: Home, registry: str, **job: str) -> tuple[dict[str, Any], list[str]]:
    """What the training process is given, and what is said."""
    home.registry.write_text(registry)
    given: list[dict[str, Any]] = []
    said: list[str] = []

    def launch(module: str, extras: Mapping[str, Any]) -> None:
        assert module == TRAIN_PROCESS
        given.append(dict(extras))
        (home.path / METRICS).write_text(json.dumps({"steps": 1}))

    assert launched(Context(home, say=said.append, launch=launch), {"out": str(home.path), **job}) == {"steps": 1}
    return given[0], said


CLUSTER = '[training]\nranks = 3\n[compute]\nengine = "ray"\naddress = "head:6379"\n'


def test_one_rank_trains_here(home: Home) -> None:
    assert started(home, '[compute]\nengine = "ray"\n') == ({"out": str(home.path)}, [])


@pytest.mark.parametrize("job", [{}, {"task": "pretext"}, {"task": "binary"}])
def test_several_ranks_share_a_job_on_the_cluster(home: Home, job: dict[str, str]) -> None:
    given, said = started(home, CLUSTER, **job)
    assert given["cluster"] == {"ranks": 3, "address": "head:6379"}
    assert said == ["3 ranks on the Ray cluster (head:6379)"]


@pytest.mark.parametrize("task", ["autoencoders", "reconstruction", "coding"])
def test_what_ranks_cannot_share_is_trained_in_one_process_and_said(home: Home, task: str) -> None:
    given, said = started(home, CLUSTER, task=task)
    assert "cluster" not in given
    assert said == ["ranks = 3 is of the backbone and the binary detector: this is trained in one process"]


def test_several_ranks_need_a_cluster(home: Home) -> None:
    with pytest.raises(UserError, match=r'ranks = 2 in \[training\] needs a cluster: set engine = "ray"'):
        started(home, "[training]\nranks = 2\n")
