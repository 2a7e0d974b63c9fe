"""What is shipped is made by one command, here of few simulated photographs and in few steps."""

import csv
import sys
from pathlib import Path

import pytest

from models.box import BOX_CLAIMS
from models.combined import CombinedDetector
from pipelines import release
from warehouse.home import Home, UserError
from warehouse.registry import Corpus, add_corpus, set_coding, set_training
from warehouse.simulator import simulate_corpus

TABLES = {"photos.csv": slice(0, 60), "photos_more.csv": slice(60, 90), "web.csv": slice(90, None)}


@pytest.mark.slow  # a whole run
def test_a_release_is_made_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDAIE_HOME", "/nowhere")
    corpus, home = tmp_path / "corpus", Home(tmp_path / "home")
    simulate_corpus(corpus, photographs=110, groups=10, seed=0)
    pictures = sorted(path.relative_to(corpus) for path in corpus.rglob("*.jpg"))
    for name, rows in TABLES.items():
        with (corpus / name).open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["file", "repo"])
            writer.writerows([path, path.parent] for path in pictures[rows])
    set_training(home, steps=12, crops=1)
    set_coding(home, steps=12)
    box = tmp_path / "box" / "detector.safetensors"
    box.parent.mkdir()
    monkeypatch.setattr(sys, "argv", ["release", str(corpus), str(home.path)])
    monkeypatch.setattr("models.box.BOX", box)
    with pytest.raises(SystemExit) as ended:
        release.main()
    assert ended.value.code == 0
    shipped = CombinedDetector.from_bytes(box.read_bytes())
    assert shipped.facts["photographs"].keys() == {"photos", "more", "web"}
    assert box.with_name(BOX_CLAIMS.name).exists()


def test_a_release_starts_from_an_empty_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "own").mkdir()
    add_corpus(home, "own", Corpus(source=str(tmp_path / "own")))
    with pytest.raises(UserError, match=r"has other corpora \(own\): a release starts from an empty home"):
        release.release(tmp_path, home, tmp_path / "box.safetensors")
