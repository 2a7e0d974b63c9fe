"""Crawl and EXIF killed at random moments, in a first crawl and in one after changes, by the benchmark that does it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
KILLS = 10


def test_killed_crawls_end_in_the_tables_of_undisturbed_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / f"g{number % 6}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "Maker"
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path, exif=exif)
    (tmp_path / "g0" / "note.jpg").write_text("dear diary")
    program = [sys.executable, "-m", "benchmarks.kills", "--shard-rows", "16"]
    words = ["--photographs", str(tmp_path), "--kills", str(KILLS), "--seed", "0"]
    said = subprocess.run([*program, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    result = json.loads(said.stdout.splitlines()[-1])
    assert result["identical"]
    assert result["first"]["kills"] + result["second"]["kills"] == KILLS
    assert min(result[part]["files_compared"] for part in ("first", "second")) > 20
