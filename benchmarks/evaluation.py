"""What the evaluation costs: everything decoded and computed once, against once for each detector and metric.

    sdaie --home HOME run            # detectors on features fitted, sets registered
    python -m benchmarks.evaluation HOME [--images 48] [--draws 2000] [--repeats 3]

Ours: each image is decoded once, each backbone sees it once under each condition, every detector on features judges
what is there, and the bootstrap draws of a set are shared by all detectors and conditions. The baseline is the way one
would write it: for each detector and condition the files are decoded, put through track and perturbation and through
that detector's network, and measured with draws of its own. Same images, detectors, grid and metrics, interleaved, the
median of the repeats; the two must give the same scores. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assets.benchmark_images import folder_of
from assets.detectors import DETECTORS, load_detectors
from assets.features import backbone_files
from assets.stage import Context
from models.backbone import Backbone
from models.bootstrap import Resamples
from models.description import Description, Given, describe
from models.images import decode_rgb
from models.metrics import evaluate
from models.one_class import OneClassDetector
from models.perturbations import conditions
from models.tracks import TRACKS
from models.weights import load_backbone
from warehouse.home import Home
from warehouse.registry import resolve
from warehouse.source_folder import read_bytes

Floats = npt.NDArray[np.float64]
Scores = dict[tuple[str, str, str], Floats]


class Work:
    """The images, detectors and conditions that both ways measure."""

    def __init__(self, home: Home, images: int, draws: int) -> None:
        context = Context(home)
        table = context.store.read("benchmark_images", columns=["dataset", "image_id", "uri", "label"])
        table = table.unique("image_id", keep="first", maintain_order=True).sort("image_id")
        # Every so manieth, so that both classes and all generators are there in their proportions.
        chosen = table[:: max(1, len(table) // images)].head(images)
        sets = context.registry.datasets
        folders = {name: folder_of(resolve(home, dataset.source)) for name, dataset in sets.items()}
        self.files = [(image_id, folders[name], uri) for name, image_id, uri, _ in chosen.iter_rows()]
        self.labels = chosen["label"].to_numpy()
        self.draws = draws
        self.detectors = {name: detector for name, (_, detector) in load_detectors(context).items()}
        files = list(backbone_files(context).values())
        self.backbones = [load_backbone(path).backbone for path in files]
        self.conditions = [(track, name) for track in TRACKS for name in conditions("default", track)]

    def decoded(self) -> list[Given]:
        """Every image, read and decoded."""
        return [Given(image_id, decode_rgb(read_bytes(folder, uri))) for image_id, folder, uri in self.files]

    def network(self, detector: str) -> Backbone:
        """The backbone that a detector takes features from."""
        return self.backbones[0 if DETECTORS[detector].trained else 1]

    def measure(self, scores: Floats, resamples: Resamples | None = None) -> None:
        """All metrics of one detector under one condition; with draws of its own where none are given."""
        judged = ~np.isnan(scores)
        labels = self.labels[judged]
        own = resamples or Resamples(labels, draws=self.draws)
        evaluate(labels, scores[judged], scores[judged] > 0, resamples=own)


def judge(detector: OneClassDetector, track: str, described: Sequence[Description], number: int) -> Floats:
    """Scores (n,) of descriptions, NaN where there are no features; `number` is that of the backbone among theirs."""
    scores = np.full(len(described), np.nan)
    there = [i for i, said in enumerate(described) if said.reason is None]

    def pooled(said: Description) -> Any:
        if detector.pooling == "complexity":
            return [said.complexity]
        return said.token0 if detector.pooling == "token0" else said.token_mean[number]

    if there:
        features = np.array([pooled(described[i]) for i in there], dtype=np.float64)
        scores[there] = detector.judge(track, features, np.array([described[i].covariates for i in there])).score
    return scores


def ours(work: Work) -> Scores:
    """Decoded once, described once by each backbone, judged by all, measured with the same draws."""
    found: Scores = {}
    images = work.decoded()
    for track, perturbation in work.conditions:
        described = describe(images, track, work.backbones, perturbation, token0=True)
        for name, detector in work.detectors.items():
            number = work.backbones.index(work.network(name))
            found[name, track, perturbation] = judge(detector, track, described, number)
    drawn: dict[bytes, Resamples] = {}
    for scores in found.values():
        judged = ~np.isnan(scores)
        if judged.tobytes() not in drawn:
            drawn[judged.tobytes()] = Resamples(work.labels[judged], draws=work.draws)
        work.measure(scores, drawn[judged.tobytes()])
    return found


def naive(work: Work) -> Scores:
    """Everything again for each detector and condition."""
    found: Scores = {}
    for name, detector in work.detectors.items():
        for track, perturbation in work.conditions:
            token0 = detector.pooling == "token0"
            described = describe(work.decoded(), track, [work.network(name)], perturbation, token0=token0)
            found[name, track, perturbation] = judge(detector, track, described, 0)
            work.measure(found[name, track, perturbation])
    return found


def timed(work: Work, repeats: int) -> Iterator[tuple[float, float]]:
    """Seconds of both ways, one after the other. Raises ValueError where their scores differ."""
    for _ in range(repeats):
        seconds, scores = [], []
        for way in (ours, naive):
            started = time.perf_counter()
            scores.append(way(work))
            seconds.append(time.perf_counter() - started)
        for key, values in scores[0].items():
            if not np.array_equal(values, scores[1][key], equal_nan=True):
                raise ValueError(f"{key}: the two ways give different scores")
        print(f"ours {seconds[0]:.1f} s, baseline {seconds[1]:.1f} s", flush=True)
        yield seconds[0], seconds[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="the evaluation against computing everything for each detector")
    parser.add_argument("home", type=Path)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    work = Work(Home.find(asked.home), asked.images, asked.draws)
    print(f"{len(work.files)} images, {len(work.detectors)} detectors, {len(work.conditions)} conditions")
    mine, theirs = zip(*timed(work, asked.repeats), strict=True)
    summary: dict[str, Any] = {
        "images": len(work.files),
        "detectors": len(work.detectors),
        "conditions": len(work.conditions),
        "seconds": round(statistics.median(mine), 2),
        "baseline_seconds": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(theirs) / statistics.median(mine), 2),
        "images_per_second": round(len(work.files) / statistics.median(mine), 2),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
