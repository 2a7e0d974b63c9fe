"""A small home with every table filled and its catalogue, for the tests of the catalogue and the report."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.chromium import chromium
from tests.warehouse.synthetic_benchmark import (
    BACKBONE,
    DETECTORS,
    HOSTILE,
    MAKES,
    rows_of,
    sha,
    write_benchmark,
    write_metrics,
)
from warehouse.catalogue import build_catalogue
from warehouse.home import Home
from warehouse.schema import TABLES
from warehouse.store import Store

TAGS = [c.name for c in TABLES["pretext_targets"].columns[3:]]
HomeBuilder = Callable[..., Home]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def write_corpus(store: Store, simulated: bool) -> None:
    random = np.random.default_rng(5)
    files, photos, exif, raw, issues, quarantine = [], [], [], [], [], []
    for number in range(60):
        uri, identity, group = f"g{number % 10}/{number}.jpg", sha(f"photo {number}"), f"g{number % 10}"
        files.append({"uri": uri, "revision": int(number == 1), "group": group, "state": "photo", "photo_id": identity})
        photos.append(
            {"photo_id": identity, "corpus": "photos", "uri": uri, "group": group, "use": "train", "places": 1}
        )
        tags = {"make": MAKES[number % 4], "iso": float(100 << number % 5), "f_number": 2.8 if number % 3 else None}
        exif.append({"photo_id": identity, **tags, "orientation": 1, "edited": False, "simulated": simulated})
        raw.append({"photo_id": identity, "tags": json.dumps({"IFD0:Make": tags["make"]}), "exiftool_version": "12.57"})
        if number % 7 == 0:
            issues.append({"photo_id": identity, "tag": "ExifIFD:FNumber", "reason": "zero", "raw_value": "0"})
    files.append({"uri": "g1/1.jpg", "revision": 0, "group": "g1", "state": "replaced", "photo_id": sha("before")})
    files.append({"uri": "gone.jpg", "revision": 0, "group": "gone.jpg", "state": "vanished", "photo_id": sha("gone")})
    for number, reason in enumerate(["not_an_image", "not_an_image", "too_large"]):
        uri = HOSTILE if number == 0 else f"broken/{number}.jpg"
        files.append({"uri": uri, "revision": 0, "group": "broken", "state": "quarantined"})
        quarantine.append(
            {
                "stage": "files",
                "source": "photos",
                "uri": uri,
                "reason": reason,
                "detail": "no image by its first bytes",
            }
        )
    rows = [{"corpus": "photos", **row} for row in files]
    store.write("files", rows_of("files", rows), partition="photos")
    store.write("photos", rows_of("photos", photos))
    splits = [{"group": f"g{g}", "fold": g % 5, "photos": 6} for g in range(10)]
    store.write("splits", rows_of("splits", splits))
    store.write("exif_raw", rows_of("exif_raw", raw))
    store.write("exif", rows_of("exif", exif))
    store.write("exif_issues", rows_of("exif_issues", issues))
    agreement = {"tag": "iso", "compared": 60, "agreed": 60, "only_exiftool": 0, "only_pillow": 0}
    store.write("exif_agreement", rows_of("exif_agreement", [agreement]))
    store.write("quarantine", rows_of("quarantine", quarantine), partition="files.photos")
    late = {"stage": "crops", "source": "photos", "uri": "g1/1.jpg", "reason": "too_small", "photo_id": sha("photo 1")}
    store.write("quarantine", rows_of("quarantine", [late]), partition="crops")
    store.write("reference_features", rows_of("reference_features", [reference_row(random)]))


def reference_row(random: np.random.Generator) -> dict[str, Any]:
    vector = random.random(4).tolist()
    keys = {"backbone": "b0a1", "track": "as_shipped", "photo_id": sha("photo 0"), "corpus": "photos", "group": "g0"}
    return {**keys, "fold": 0, "complexity": 3.5, "token0": vector}


def write_training(store: Store, simulated: bool) -> None:
    random = np.random.default_rng(6)
    common = {"preset": "compact", "parameters": 78_112, "feature_dimension": 528, "simulated_only": simulated}
    trained = {"role": "trained", "backbone": BACKBONE, "steps": 2000, "photographs": 647, "groups": 33}
    untrained = {"role": "untrained", "backbone": "0f9e8d7c6b5a4938", "steps": 0, "photographs": 0, "groups": 0}
    store.write("backbones", rows_of("backbones", [{**trained, **common}, {**untrained, **common}]))
    metrics = []
    for number, tag in enumerate(TAGS):
        ranked = number >= 7
        baseline = 0.5 if ranked else 0.3 + 0.05 * number
        value = baseline + 0.2 * random.random() - 0.03
        half = 0.04 + 0.06 * random.random()
        facts = {"kind": "ranked" if ranked else "categorical", "labelled": 140 - 5 * number, "groups": 7}
        spread = {"value": value, "value_low": value - half, "value_high": min(1.0, value + half), "baseline": baseline}
        metrics.append({"backbone": trained["backbone"], "tag": tag, **facts, **spread})
    metrics[-1] |= {"labelled": 0, "groups": 0, "value": None, "value_low": None, "value_high": None}
    store.write("pretext_metrics", rows_of("pretext_metrics", metrics))
    claims = [
        {"backbone": BACKBONE, "read_by": reader, "judges": reader == "statistics", "tag": tag, "swapped_with": kind}
        | {"photographs": 400, "sources": 60, "pairs": 2000}
        | {"auroc": 0.55, "auroc_low": low, "auroc_high": 0.6, "found_at_5": 0.08}
        for reader in ("heads", "statistics")
        for tag, low in (("iso", 0.49), ("all", 0.51))
        for kind in ("another_source", "same_corpus", "another_model")
    ]
    store.write("exif_claims", rows_of("exif_claims", claims))
    curve = []
    for step in range(0, 2001, 20):
        for series, start, end in (("loss", 1.2, 0.71), ("validation_ranking", 0.5, 0.61)):
            value = end + (start - end) * np.exp(-step / 500) + 0.01 * random.standard_normal()
            curve.append({"backbone": trained["backbone"], "series": series, "step": step, "value": float(value)})
    store.write("training_curve", rows_of("training_curve", curve))


def write_drift(store: Store) -> None:
    found = [
        {"measure": "missing_tag", "subject": "iso", "due": False, "p_value": 1.0},
        {"measure": "unseen_make", "subject": "all", "due": True, "count_now": 30, "of_now": 60},
        {"measure": "retraining", "subject": "all", "due": True, "reason": "due by unseen_make"},
    ]
    store.write("drift", rows_of("drift", [{"champion": "id one_class", **row} for row in found]))


def write_promotions(store: Store) -> None:
    """A first detector that answers, and a second that was refused for one of two reasons."""
    first = {"number": 1, "decision": "promoted", "challenger": "first", "champion": "first"}
    second = {"number": 2, "decision": "refused", "challenger": "second", "champion_before": "first"}
    second |= {"champion": "first"}
    rate = {"gate": "realised_false_positive_rate", "subject": "held-out sources", "passed": True, "reason": "5% of 90"}
    auroc = {"gate": "headline_auroc", "subject": "dev", "passed": False, "reason": "AUROC .61 against .66"}
    for decision, reasons in ((first, [rate]), (second, [rate, auroc])):
        made = {"decided_at": "2026-11-30T03:00:00+00:00", "by": "pipeline", **decision}
        rows = rows_of("promotions", [{**made, **reason} for reason in reasons])
        store.write("promotions", rows, partition=f"{decision['number']:06d}")


def write_home(path: Path, stop: str, simulated: bool, detectors: dict[str, float]) -> None:
    home = Home(path)
    home.path.mkdir()
    store = Store(home.tables)
    parts = ["empty", "corpus", "training", "benchmark"]
    reached = parts.index(stop)
    if reached >= 1:
        write_corpus(store, simulated)
    if reached >= 2:
        write_training(store, simulated)
    if reached >= 3:
        # An earlier catalogue, of detectors that were worse.
        write_metrics(store, detectors, better=-0.03)
        build_catalogue(home, store)
        write_benchmark(store, simulated, detectors)
        write_drift(store)
        write_promotions(store)
    build_catalogue(home, store)


@pytest.fixture(scope="session")
def written_homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Homes already written in this session: a copy costs a fiftieth of the writing."""
    return {"": tmp_path_factory.mktemp("homes")}


@pytest.fixture
def make_home(tmp_path: Path, written_homes: dict[str, Path]) -> HomeBuilder:
    """A home with its catalogue, for one test alone.

    `stop` leaves out what comes after `empty`, `corpus`, `training` or `benchmark`.
    """

    def make(
        stop: str = "benchmark", simulated: bool = False, detectors: dict[str, float] | None = None, name: str = "home"
    ) -> Home:
        skills = DETECTORS if detectors is None else detectors
        variant = json.dumps([stop, simulated, skills])
        if variant not in written_homes:
            path = written_homes[""] / str(len(written_homes))
            write_home(path, stop, simulated, skills)
            written_homes[variant] = path
        shutil.copytree(written_homes[variant], tmp_path / name)
        return Home(tmp_path / name)

    return make
