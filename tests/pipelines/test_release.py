"""What is shipped is made by one command, here of few simulated photographs and in few steps."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.box import BOX_CLAIMS
from models.combined import CombinedDetector
from pipelines import release
from warehouse.home import Home, UserError
from warehouse.registry import Corpus, add_corpus, set_coding, set_reconstruction, set_training
from warehouse.simulator import simulate_corpus

# The command puts its files into the package; here they go elsewhere.
MADE = """
import sys
from pathlib import Path

from pipelines.release import release
from warehouse.home import Home

if __name__ == "__main__":
    corpus, home, box = map(Path, sys.argv[1:])
    release(corpus, Home(home), box)
"""
TABLES = {"photos.csv": slice(0, 72), "photos_more.csv": slice(72, 96), "web.csv": slice(96, None)}


@pytest.mark.slow  # a whole run
def test_a_release_is_made_in_one_go(tmp_path: Path) -> None:
    corpus, home = tmp_path / "corpus", Home(tmp_path / "home")
    simulate_corpus(corpus, photographs=120, groups=20, seed=0)
    pictures = sorted(path.relative_to(corpus) for path in corpus.rglob("*.jpg"))
    for name, rows in TABLES.items():
        with (corpus / name).open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["file", "repo"])
            writer.writerows([path, path.parent] for path in pictures[rows])
    set_training(home, steps=12, crops=1)
    set_coding(home, steps=12)
    set_reconstruction(home, autoencoder_steps=18)
    box = tmp_path / "box" / "detector.safetensors"
    box.parent.mkdir()
    program = tmp_path / "make.py"
    program.write_text(MADE)
    words = [sys.executable, str(program), str(corpus), str(home.path), str(box)]
    elsewhere = os.environ | {"SDAIE_HOME": str(tmp_path / "elsewhere")}
    said = subprocess.run(words, env=elsewhere, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    shipped = CombinedDetector.from_bytes(box.read_bytes())
    assert shipped.facts["photographs"].keys() == {"photos", "more", "web"}
    assert box.with_name(BOX_CLAIMS.name).exists()


def test_a_release_starts_from_an_empty_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "own").mkdir()
    add_corpus(home, "own", Corpus(source=str(tmp_path / "own")))
    with pytest.raises(UserError, match=r"has other corpora \(own\): a release starts from an empty home"):
        release.release(tmp_path, home, tmp_path / "box.safetensors")
