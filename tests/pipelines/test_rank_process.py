"""What is heard of one rank, and why training on a cluster says that it ended."""

import json
import signal
import time
from pathlib import Path

import pytest

from models.stopping import LOST, TrainingStoppedError
from pipelines.rank_process import RankProcess, Said
from pipelines.ray_ranks import _raise_failure
from tests.models import synthetic_crops
from warehouse.home import UserError


def test_a_rank_says_each_report_once_and_its_last_words(tmp_path: Path) -> None:
    shards, targets = synthetic_crops.write(tmp_path, photos=60)
    config = {"steps": 2, "batch_photos": 4, "patches": 1, "validation_every": 2, "validation_patches": 1, "threads": 1}
    job = {
        "config": config,
        "crop_shards": [str(shard) for shard in shards],
        "targets": str(targets),
        "out": str(tmp_path / "out"),
    }
    good, bad = RankProcess(), RankProcess()
    good.start(job, {})
    bad.start({**job, "task": "knitting"}, {})
    heard = []
    while (said := good.said()).status is None:
        heard += said.reports
        time.sleep(0.05)
    heard += said.reports
    assert [report["event"] for report in heard] == ["progress", "validation", "finished"]
    assert said.status == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 2
    while (refused := bad.said()).status is None:
        time.sleep(0.05)
    good.end()
    bad.end()
    assert refused.status == 1
    tasks = "pretext, binary, autoencoders, reconstruction, coding"
    assert refused.last_words.endswith(f"no task 'knitting'; there are {tasks}")


def ended(status: int | None, last_words: str = "") -> Said:
    return Said([], status, last_words)


@pytest.mark.parametrize(
    ("ranks", "sentence"),
    [
        ([ended(1, f"{LOST} (reset)"), ended(-signal.SIGKILL)], "rank 1 was killed by SIGKILL"),
        ([ended(1, f"{LOST} (reset)"), ended(None)], "the machine of rank 1 was lost"),
        ([ended(1, f"{LOST} (reset)"), ended(1, "a traceback\nno crop")], "^no crop$"),
        ([ended(1)], "a rank failed without a word"),
    ],
)
def test_the_cause_is_said_and_not_what_follows_from_it(ranks: list[Said], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _raise_failure(dict(enumerate(ranks)), len(ranks), stopped=False)


def test_stopped_training_says_where_it_stopped() -> None:
    with pytest.raises(TrainingStoppedError, match="after step 3"):
        _raise_failure({0: ended(143, "stopped after step 3"), 1: ended(143)}, 2, stopped=True)
    with pytest.raises(TrainingStoppedError, match="before a checkpoint was written"):
        _raise_failure({0: ended(-signal.SIGKILL)}, 2, stopped=True)
    _raise_failure({0: ended(0), 1: ended(0)}, 2, stopped=True)
