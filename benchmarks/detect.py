"""What an answer costs: the next file decoded while one is judged, against one file after another.

    python -m benchmarks.detect [--detector FILE] [--small 64] [--large 12] [--repeats 3]

Ours is what `sdaie detect` does: a guarded child decodes and cuts, a thread reads ahead, squares alone come back, and
two threads judge a picture each. The
baseline is the way one would write it: each file is decoded in a guarded child of the same kind, comes back whole, is
cut and judged, and then the next. Same detector and files, made textures of 256 x 256 and of 4000 x 3000 as JPEG,
interleaved, the median of the repeats; the two must give the same scores. Beside that: seconds from the command to its
first answer, seconds of a heat map of 256 squares, and peak memory with a picture of 100 megapixels, of the process
that judges and of its child. Without `--detector` the one in the box answers. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.answers import Judge
from assets.decoding import decoding
from assets.detection import Chosen, detect
from assets.sight import REGIONS
from models.box import BOX
from models.squares import squares
from warehouse.file_facts import looking

SMALL, LARGE, LARGEST = (256, 256), (4000, 3000), (10_000, 10_000)


def write_texture(path: Path, size: tuple[int, int], seed: int) -> None:
    """A blurred texture with noise of width and height, as a JPEG of quality 92."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 215, (size[1] // 64, size[0] // 64, 3), dtype=np.uint8))
    image = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
    for top in range(0, size[1], 512):  # in strips, as noise of 100 megapixels takes gigabytes
        strip = image[top : top + 512]
        noisy = strip + rng.normal(scale=5, size=strip.shape).astype(np.float32)
        image = image if image.flags.writeable else image.copy()
        image[top : top + 512] = noisy.clip(0, 255)
    Image.fromarray(image).save(path, quality=92)


class Kept(Chosen):
    """A detector's file that is loaded once: loading is measured by the first answer."""

    def load(self) -> Judge:
        """The judge, the same each time."""
        if not hasattr(self, "_judge"):
            object.__setattr__(self, "_judge", super().load())
        judge: Judge = self._judge  # type: ignore[attr-defined]
        return judge


def ours(chosen: Kept, files: Sequence[Path]) -> list[float | None]:
    """Scores as `sdaie detect` gives them."""
    return [answered.answer.score for answered in detect(chosen, files)]


def naive(chosen: Kept, files: Sequence[Path]) -> list[float | None]:
    """Scores, one file after another."""
    found: list[float | None] = []
    with looking() as look, decoding() as decode:
        for file in files:
            data = file.read_bytes()
            look(data)
            found.append(chosen.load().detector.examine(decode(data)).score)
    return found


def rates(chosen: Kept, files: Sequence[Path], repeats: int) -> tuple[float, float]:
    """Pictures a second of both ways. Raises ValueError where their scores differ."""
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    for _ in range(repeats):
        scores = []
        for way in (ours, naive):
            started = time.perf_counter()
            scores.append(way(chosen, files))
            seconds[way.__name__].append(time.perf_counter() - started)
        if scores[0] != scores[1]:
            raise ValueError("the two ways give different scores")
    return len(files) / statistics.median(seconds["ours"]), len(files) / statistics.median(seconds["naive"])


def first_answer(detector: Path, picture: Path, home: Path) -> float:
    """Seconds from the command to its first answer, in a process of its own."""
    folder = home / "detectors" / "measured"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.safetensors").write_bytes(detector.read_bytes())
    (home / "champion.json").write_text('{"detector_id": "measured"}')
    program = [sys.executable, "-c", "from pipelines.cli import main; main()", "--home", str(home)]
    started = time.perf_counter()
    subprocess.run([*program, "detect", str(picture)], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    return time.perf_counter() - started


def heat_map_seconds(chosen: Kept, picture: Path) -> float:
    """Seconds of judging one picture with its heat map of 256 squares."""
    started = time.perf_counter()
    [answered] = detect(chosen, [picture], show=True)
    if answered.heat_map is None or answered.heat_map.regions < 0.9 * REGIONS:
        raise ValueError("the heat map has too few regions")
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="answers with reading ahead against one file after another")
    parser.add_argument("--detector", type=Path, default=BOX)
    parser.add_argument("--small", type=int, default=64)
    parser.add_argument("--large", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    chosen = Kept(asked.detector, asked.detector.read_bytes())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sets = {}
        for name, size, count in (("small", SMALL, asked.small), ("large", LARGE, asked.large)):
            sets[name] = [folder / f"{name}{number}.jpg" for number in range(count)]
            for number, file in enumerate(sets[name]):
                write_texture(file, size, number)
        summary: dict[str, Any] = {"detector": chosen.identity, "parts": len(chosen.load().detector.parts)}
        starts = [first_answer(asked.detector, sets["small"][0], folder / "home") for _ in range(asked.repeats)]
        summary["first_answer_s"] = round(statistics.median(starts), 2)
        chosen.load().detector.examine_squares(squares(np.zeros((256, 256, 3), dtype=np.uint8)))  # networks warm up
        for name, files in sets.items():
            mine, theirs = rates(chosen, files, asked.repeats)
            print(f"{name}: {mine:.2f} pictures/s, baseline {theirs:.2f}", flush=True)
            summary |= {f"{name}_per_s": round(mine, 2), f"{name}_baseline_per_s": round(theirs, 2)}
        summary["heat_map_s"] = round(heat_map_seconds(chosen, sets["large"][0]), 2)
        print(json.dumps(summary | peak_memory(asked.detector, folder)))


def peak_memory(detector: Path, folder: Path) -> dict[str, int]:
    """Peak memory, MiB, of a process that judges 100 megapixels, and of the child that decodes them."""
    write_texture(folder / "largest.jpg", LARGEST, 0)
    program = (
        "import re, resource, sys; from pathlib import Path; from assets.detection import Chosen, detect\n"
        "file = Path(sys.argv[1]); [found] = detect(Chosen(file, file.read_bytes()), [Path(sys.argv[2])])\n"
        "assert found.answer.score is not None, found.answer\n"
        # Not ru_maxrss of this process: it begins at what the process that starts it holds.
        "own = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    words = [sys.executable, "-c", program, str(detector), str(folder / "largest.jpg")]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    judging, decoding_child = (int(kilobytes) >> 10 for kilobytes in said.stdout.split())
    return {"peak_judging_mib": judging, "peak_decoding_mib": decoding_child}


if __name__ == "__main__":
    main()
