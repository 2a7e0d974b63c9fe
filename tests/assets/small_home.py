"""A home with a few photographs and one small benchmark set, whose tables before the tested stages are written by hand.

The pictures are small and colourful; what a detector of a test says of one is its mean brightness.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.stage import Context, Stage
from warehouse.home import Home
from warehouse.shards import frame
from warehouse.store import Manifest

FOLDS = 5
IN_A_FOLD = 4

PLUG_IN = """
import numpy as np

CALLS = []


class Brightness:
    name = "its own word for it"
    version = "{version}"

    def score(self, images):
        CALLS.extend((each.facts.image_id, each.track, each.perturbation) for each in images)
        return np.array([each.pixels.mean() for each in images])
"""


class SmallHome:
    """The home, and what a test does with it."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.corpus, self.set = path / "photographs", path / "set"
        self.settings = "[detection]\nfalse_positive_rate = 0.25\n[evaluation]\ngrid = 'none'\n"
        self.settings += "[corpora.photographs]\nsource = 'photographs'\n[datasets.set]\nsource = 'set'\n"
        self.register("")

    def register(self, entries: str) -> None:
        """Make the registry the fixed part and these entries."""
        self.home.registry.write_text(self.settings + entries)

    def context(self, partition: str | None = None) -> Context:
        """A context as a stage gets it."""
        return Context(self.home, partition) if partition else Context(self.home)

    def run(self, stage: Stage, partition: str | None = None) -> Manifest:
        """Run a stage and give the manifest of its first table."""
        manifest, _ = stage.materialise(self.context(partition))
        return manifest

    def plug_in(self, module: str, version: str = "1") -> None:
        """Put a module with a class `Brightness` into the home."""
        (self.home.path / f"{module}.py").write_text(PLUG_IN.format(version=version))

    def write(self, table: str, rows: list[dict[str, Any]], partition: str = "all") -> None:
        """Write a table as if its stage had run."""
        self.context().store.write(table, frame(table, rows), partition=partition)


def picture(path: Path, seed: int, side: int = 260, level: int | None = None) -> str:
    """Write a picture and give its SHA-256; `level` is its mean brightness, about."""
    rng = np.random.default_rng(seed)
    base = rng.integers(60, 200) if level is None else level
    pixels = rng.normal(base, 12, (side, side, 3)).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)
    return hashlib.sha256(path.read_bytes()).hexdigest()
