"""A home in which detectors were promoted one after another and published, for the tests of the clean-up and of copies.

Generation g is made 40 - g days ago, by real stores, catalogues, decisions and weights; `age` sets the times of files.
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assets.champions import decide
from models.backbone import PRESETS, random_backbone
from models.weights import Header, save_backbone, save_untrained
from tests.small_detector import small_detector
from warehouse.catalogue import build_catalogue
from warehouse.home import Home
from warehouse.retention import DAY
from warehouse.shards import frame
from warehouse.store import Store

GENERATIONS = 6
KEEP = 2
IMPORTED = "f" * 16


@dataclass(frozen=True)
class Cleaned:
    """The home, and the identity of the detector of each generation, the oldest first."""

    home: Home
    detectors: list[str]

    @property
    def store(self) -> Store:
        return Store(self.home.tables)


def backbone(generation: int) -> str:
    return f"{generation:016x}"


def age(home: Home, days: float) -> None:
    """Give what was changed within the last day this age, but for pictures, which would be read again."""
    then = time.time() - days * DAY
    pictures = {home.path / "photographs", home.simulated}
    for path in (home.path, *home.path.rglob("*")):
        if path.lstat().st_mtime > time.time() - DAY and pictures.isdisjoint({path, *path.parents}):
            os.utime(path, (then, then), follow_symlinks=False)


def tree(home: Home) -> dict[str, bytes]:
    """Every file of the home but Dagster's, by name."""
    files = (path for path in home.path.rglob("*") if path.is_file() and path.suffix != ".lock")
    kept = (path for path in files if path.name != ".lock" and home.dagster not in path.parents)
    return {path.relative_to(home.path).as_posix(): path.read_bytes() for path in kept}


def make_home(path: Path) -> Cleaned:
    """Six generations, of which the last three were published; an imported backbone; strays of each kind."""
    home = Home(path)
    home.path.mkdir()
    home.registry.write_text(f"[retrain]\nkeep = {KEEP}\n")
    store = Store(home.tables)
    header = Header("imported", "compact", PRESETS["compact"], None, {"sha256": "", "kind": ""}, {})
    save_backbone(
        home.backbones / IMPORTED / "backbone.safetensors", random_backbone(PRESETS["compact"], 9), None, header
    )
    identities = []
    for generation in range(GENERATIONS):
        detector = replace(small_detector(), facts={"generation": generation})
        identities.append(detector.identity)
        file = home.detector_file(detector.identity)
        file.parent.mkdir(parents=True)
        file.write_bytes(detector.to_bytes())
        save_untrained(home.backbones / backbone(generation) / "backbone.safetensors", "compact", generation)
        (home.autoencoders / backbone(generation)).mkdir(parents=True)
        (home.autoencoders / backbone(generation) / "metrics.json").write_text("{}")
        write_tables(store, generation, detector.identity)
        decide(home, "promoted", detector.identity, [{"gate": "g", "subject": "", "passed": True, "reason": ""}])
        if generation >= GENERATIONS - 3:
            build_catalogue(home, store)
        age(home, 40 - generation)
    return Cleaned(home, identities)


def write_tables(store: Store, generation: int, detector: str) -> None:
    row = {"detector": "combined", "track": "as_shipped", "detector_id": detector, "backbone": backbone(generation)}
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {
        ("detectors", "squares"): [dict.fromkeys(frame("detectors", []).columns) | row],
        ("backbones", "trained"): [{"role": "trained", "origin": "trained", "backbone": backbone(generation)}],
        ("autoencoders", "all"): [{"make": "m", "autoencoders": backbone(generation)}],
        ("champion_photographs", detector): [{"detector_id": detector, "photo_id": "p"}],
        ("splits", "all"): [{"group": str(generation), "fold": 0, "photos": 1}],
        ("exif_raw", "all"): [{"photo_id": str(generation), "tags": "{}"}],
    }
    for (table, partition), rows in tables.items():
        empty = dict.fromkeys(frame(table, []).columns)
        store.write(table, frame(table, [empty | each for each in rows]), partition=partition)
