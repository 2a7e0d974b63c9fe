"""What the evaluation costs: every image looked at once for all detectors, against once for each of them.

    sdaie --home HOME run            # detectors on squares fitted, sets registered
    python -m benchmarks.evaluation HOME [--images 48] [--draws 2000] [--repeats 3]

Ours: each image is decoded once, put through each track and perturbation once, all names of a file share what it says
of the squares, and the bootstrap draws of a set are shared by all detectors and conditions. The baseline is the way one
would write it: for each detector and condition the files are decoded, put through track and perturbation, examined, and
measured with draws of its own. Same images, detectors, grid and metrics, interleaved, the median of the repeats; the
two must give the same scores. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assets.benchmark_images import folder_of
from assets.square_detectors import SQUARES
from assets.stage import Context
from models.bootstrap import Resamples
from models.detector import BenchmarkImage, FileFacts
from models.images import decode_rgb
from models.metrics import evaluate
from models.perturbations import conditions, perturb
from models.square_detector import SquareDetector
from models.tracks import TRACKS, apply_track
from warehouse.home import Home
from warehouse.registry import resolve
from warehouse.source_folder import read_bytes

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
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
        known = context.store.read("detectors", [SQUARES], ["detector", "detector_id"]).unique().sort("detector")
        self.detectors = {
            name: SquareDetector.load(name, home.detector_file(identity)) for name, identity in known.iter_rows()
        }
        self.conditions = [(track, name) for track in TRACKS for name in conditions("default", track)]

    def decoded(self, number: int) -> Pixels:
        """An image, read and decoded."""
        _, folder, uri = self.files[number]
        return decode_rgb(read_bytes(folder, uri))

    def seen(self, number: int, pixels: Pixels, track: str, perturbation: str) -> BenchmarkImage | None:
        """An image as detectors get it; None where it has no such track."""
        image_id = self.files[number][0]
        tracked = apply_track(pixels, track).image
        if tracked is None:
            return None
        facts = FileFacts(image_id, "", pixels.shape[1], pixels.shape[0], 0, None, None)
        return BenchmarkImage(perturb(tracked, perturbation, image_id), facts, track, perturbation)

    def measure(self, scores: Floats, resamples: Resamples | None = None) -> None:
        """All metrics of one detector under one condition; with draws of its own where none are given."""
        judged = ~np.isnan(scores)
        labels = self.labels[judged]
        own = resamples or Resamples(labels, draws=self.draws)
        evaluate(labels, scores[judged], scores[judged] > 0, resamples=own)


def ours(work: Work) -> Scores:
    """Decoded once, seen once under each condition, judged by all, measured with the same draws."""
    keys = [(name, *condition) for name in work.detectors for condition in work.conditions]
    found: Scores = {key: np.full(len(work.files), np.nan) for key in keys}
    for number in range(len(work.files)):
        pixels = work.decoded(number)
        for track, perturbation in work.conditions:
            seen = work.seen(number, pixels, track, perturbation)
            if seen is None:
                continue
            for name, detector in work.detectors.items():
                found[name, track, perturbation][number] = detector.score([seen])[0]
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
            scores = np.full(len(work.files), np.nan)
            for number in range(len(work.files)):
                seen = work.seen(number, work.decoded(number), track, perturbation)
                if seen is not None:
                    scores[number] = detector.score([seen])[0]
            found[name, track, perturbation] = scores
            work.measure(scores)
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
