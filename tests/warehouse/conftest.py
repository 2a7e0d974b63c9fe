"""A small home with every table filled and its catalogue, for the tests of the catalogue and the report."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from warehouse.catalogue import build_catalogue
from warehouse.home import Home
from warehouse.schema import TABLES
from warehouse.store import Store

MAKES = ["Apple", "Canon", "Nikon", None]
DETECTORS = {"one_class": 0.14, "one_class_published": 0.04, "complexity": -0.06, "jpeg_history": 0.02}
GENERATORS = {"biggan": 30, "midjourney_v5": 24, "stable_diffusion_xl": 40, "stylegan2": 22, "small_sets": 11}
TRACKS = ("format_matched", "as_shipped")
TAGS = [c.name for c in TABLES["pretext_targets"].columns[3:]]
# A name as found on strangers' disks: markup, quotes, a right-to-left mark, no end.
HOSTILE = "x/<script>alert('1')</script>\u202e\"&" + "long" * 40 + ".jpg"

HomeBuilder = Callable[..., Home]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def rows_of(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with the columns left out as null."""
    arrow = TABLES[table].arrow
    empty = pl.from_arrow(arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    return pl.DataFrame([{name: row.get(name) for name in arrow.names} for row in rows], schema=empty.schema)


def write_corpus(store: Store, simulated: bool) -> None:
    random = np.random.default_rng(5)
    files, photos, exif, raw, issues, quarantine = [], [], [], [], [], []
    for number in range(60):
        uri, identity, group = f"g{number % 10}/{number}.jpg", sha(f"photo {number}"), f"g{number % 10}"
        files.append({"corpus": "photos", "uri": uri, "group": group, "state": "photo", "photo_id": identity})
        photos.append(
            {"photo_id": identity, "corpus": "photos", "uri": uri, "group": group, "use": "train", "places": 1}
        )
        tags = {"make": MAKES[number % 4], "iso": float(100 << number % 5), "f_number": 2.8 if number % 3 else None}
        exif.append({"photo_id": identity, **tags, "orientation": 1, "edited": False, "simulated": simulated})
        raw.append({"photo_id": identity, "tags": json.dumps({"IFD0:Make": tags["make"]}), "exiftool_version": "12.57"})
        if number % 7 == 0:
            issues.append({"photo_id": identity, "tag": "ExifIFD:FNumber", "reason": "zero", "raw_value": "0"})
    for number, reason in enumerate(["not_an_image", "not_an_image", "too_large"]):
        uri = HOSTILE if number == 0 else f"broken/{number}.jpg"
        files.append({"corpus": "photos", "uri": uri, "group": "broken", "state": "quarantined"})
        quarantine.append(
            {
                "stage": "files",
                "source": "photos",
                "uri": uri,
                "reason": reason,
                "detail": "no image by its first bytes",
            }
        )
    store.write("files", rows_of("files", files), partition="photos")
    store.write("photos", rows_of("photos", photos))
    splits = [{"group": f"g{g}", "fold": g % 5, "photos": 6} for g in range(10)]
    store.write("splits", rows_of("splits", splits))
    store.write("exif_raw", rows_of("exif_raw", raw))
    store.write("exif", rows_of("exif", exif))
    store.write("exif_issues", rows_of("exif_issues", issues))
    store.write("quarantine", rows_of("quarantine", quarantine), partition="files.photos")
    late = {"stage": "crops", "source": "photos", "uri": "g1/1.jpg", "reason": "too_small", "photo_id": sha("photo 1")}
    store.write("quarantine", rows_of("quarantine", [late]), partition="crops")
    store.write("reference_features", rows_of("reference_features", [reference_row(random)]))


def reference_row(random: np.random.Generator) -> dict[str, Any]:
    vector = random.random(4).tolist()
    keys = {"backbone": "b0a1", "track": "as_shipped", "photo_id": sha("photo 0"), "corpus": "photos", "group": "g0"}
    return {**keys, "fold": 0, "complexity": 3.5, "patches": 16, "token_mean": vector, "token0": vector}


def write_training(store: Store, simulated: bool) -> None:
    random = np.random.default_rng(6)
    common = {"preset": "compact", "parameters": 78_112, "feature_dimension": 528, "simulated_only": simulated}
    trained = {"role": "trained", "backbone": "b0a1c2d3e4f50617", "steps": 2000, "photographs": 647, "groups": 33}
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
    curve = []
    for step in range(0, 2001, 20):
        for series, start, end in (("loss", 1.2, 0.71), ("validation_ranking", 0.5, 0.61)):
            value = end + (start - end) * np.exp(-step / 500) + 0.01 * random.standard_normal()
            curve.append({"backbone": trained["backbone"], "series": series, "step": step, "value": float(value)})
    store.write("training_curve", rows_of("training_curve", curve))


def metric_row(keys: dict[str, Any], auroc: float, n_fake: int) -> dict[str, Any]:
    half = 0.9 / np.sqrt(n_fake + 40)
    row = {**keys, "n_real": 180, "n_fake": n_fake, "left_out": 3, "tpr_at_1_fpr": max(0.0, (auroc - 0.45) / 3)}
    values = {
        "auroc": auroc,
        "average_precision": min(1.0, auroc + 0.02),
        "tpr_at_5_fpr": max(0.0, (auroc - 0.4) / 2),
        "accuracy_real": 0.94,
        "accuracy_fake": max(0.0, auroc - 0.45),
        "balanced_accuracy": 0.5 + max(0.0, auroc - 0.5) / 2,
    }
    for name, value in values.items():
        row |= {name: value, f"{name}_low": max(0.0, value - half), f"{name}_high": min(1.0, value + half)}
    return row


def write_benchmark(store: Store, simulated: bool, detectors: dict[str, float]) -> None:
    random = np.random.default_rng(7)
    fitted: list[dict[str, Any]] = []
    metrics: list[dict[str, Any]] = []
    calibration: list[dict[str, Any]] = []
    for (name, skill), track in ((d, t) for d in detectors.items() for t in TRACKS):
        bonus = 0.0 if track == "format_matched" else 0.09
        identity = sha(f"{name} {track}")[:16]
        facts = {"n_fit": 420, "n_calibration": 120, "false_positive_rate": 0.05, "threshold": 1.5}
        backbone = "b0a1c2d3e4f50617" if name.startswith("one_class") else None
        about = {"backbone": backbone, "description": f"what {name} looks at", "simulated_only": simulated}
        fitted.append({"detector": name, "track": track, "detector_id": identity, **facts, **about})
        for generator, n_fake in {**GENERATORS, "all": sum(GENERATORS.values())}.items():
            keys = {"detector": name, "dataset": "dev", "generator": generator, "track": track}
            keys |= {"perturbation": "none", "detector_id": identity}
            auroc = 0.55 + skill + bonus + (0 if generator == "all" else 0.2 * (random.random() - 0.5))
            metrics.append(metric_row(keys, auroc, n_fake))
        for origin, source, n in (("validation", "photos", 130), ("dev", "imagenet", 90), ("dev", "ffhq_jpeg_q75", 60)):
            for nominal in (0.01, 0.02, 0.05, 0.1):
                flagged = int(n * nominal * (0.8 + 1.2 * random.random()))
                rate = flagged / n
                counts = {"photographs": n, "flagged": flagged, "realised_fpr": rate}
                ends = {"realised_low": max(0.0, rate - 0.03), "realised_high": rate + 0.05}
                place = {"detector": name, "track": track, "origin": origin, "source": source}
                calibration.append({**place, "nominal_fpr": nominal, **counts, **ends})
    metrics[0] |= {"auroc": None, "auroc_low": None, "auroc_high": None, "tpr_at_1_fpr": None}
    store.write("detectors", rows_of("detectors", fitted))
    store.write("benchmark_metrics", rows_of("benchmark_metrics", metrics), partition="dev")
    store.write("benchmark_calibration", rows_of("benchmark_calibration", calibration))
    write_scores(store, simulated, detectors)


def write_scores(store: Store, simulated: bool, detectors: dict[str, float]) -> None:
    images, scores = [], []
    for number in range(12):
        identity, label = sha(f"image {number}"), number % 2
        generator = "biggan" if label else "real"
        images.append(
            {"dataset": "dev", "image_id": identity, "uri": f"{number}.png", "label": label, "source": "imagenet"}
        )
        images[-1] |= {"generator": generator, "simulated": simulated}
        for detector, track in ((d, t) for d in detectors for t in TRACKS):
            reason = "below_256_px" if number < 2 and track == "format_matched" else None
            keys = {
                "detector": detector,
                "dataset": "dev",
                "image_id": identity,
                "track": track,
                "perturbation": "none",
            }
            said = {"generator": generator, "label": label, "score": None if reason else number / 12, "reason": reason}
            scores.append({**keys, **said})
    store.write("benchmark_images", rows_of("benchmark_images", images), partition="dev.biggan")
    store.write("benchmark_scores", rows_of("benchmark_scores", scores), partition="dev.biggan")


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
        write_benchmark(store, simulated, detectors)
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
