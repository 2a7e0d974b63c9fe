"""The pretext task can be learned on the simulator, whose truth is known: on cameras that training never saw."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Sdaie
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus, set_coding, set_reconstruction, set_training
from warehouse.simulator import simulate_corpus
from warehouse.store import Store

pytestmark = pytest.mark.slow  # a training of minutes


def test_at_least_three_tags_are_ranked_on_unseen_cameras(tmp_path: Path, sdaie: Sdaie) -> None:
    home = Home(tmp_path / "home")
    simulate_corpus(home.simulated, photographs=320, groups=40, seed=3)
    add_corpus(home, "simulated", Corpus(source=str(home.simulated)))
    set_training(home, steps=300)
    set_reconstruction(home, autoencoder_steps=1, steps=1)  # they are no matter of this test
    set_coding(home, steps=1)
    for group in ("corpus", "exif", "training"):
        said = sdaie(home.path, "run", "--only", group)
        assert said.returncode == 0, said.stderr
    rows = Store(home.tables).read("pretext_metrics").to_dicts()
    learned = {row["tag"]: row["value_low"] for row in rows if row["kind"] == "ranked" and row["value_low"] > 0.55}
    assert len(learned) >= 3, rows
