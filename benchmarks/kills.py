"""Runs killed at random moments and run again must end in the tables of an undisturbed run, byte for byte.

    python -m benchmarks.kills --photographs DIR --kills 100 --seed 0     # or --photographs simulated

Crawl and EXIF (`files`, `photos`, `splits`, `exif_raw`, `exif`) run in a process group of their own. The whole group
gets SIGKILL at a moment drawn uniformly over the time that an undisturbed run takes, and is started again; whenever a
run comes to its end, its tables are compared with those of the undisturbed run, and the next one starts from the
beginning. Half of the kills are in the first crawl of a corpus, half in the second, after files changed, vanished and
came. The photographs are copied first, and shards are small (`--shard-rows`), so that there are many moments between
two of them. The last line is one JSON object; the exit code is 1 where a table differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from warehouse.home import Home

CORPUS = "photographs"
STAGES_KILLED = ("files", "photos", "splits", "exif_raw", "exif")
READY = "ready"


def work(home: Home, shard_rows: int) -> None:
    """Crawl the corpus of a home and read its EXIF; what is current stays."""
    # Not at the top: each worker process imports this module.
    from assets.chain import STAGES
    from assets.stage import Context
    from warehouse.schema import TABLES

    for name in ("files", "exif_raw"):
        TABLES[name] = replace(TABLES[name], shard_rows=shard_rows)
    print(READY, flush=True)
    for stage in STAGES:
        if stage.name in STAGES_KILLED:
            context = Context(home, CORPUS) if stage.partitioned else Context(home)
            if not stage.is_current(context):
                stage.materialise(context)


def committed(home: Home) -> dict[str, bytes]:
    """Every manifest of a home and every shard that one names, by path."""
    manifests = list(home.tables.rglob("manifest.json"))
    named = [path.parent / shard["file"] for path in manifests for shard in json.loads(path.read_text())["shards"]]
    return {path.relative_to(home.tables).as_posix(): path.read_bytes() for path in sorted(manifests + named)}


@dataclass(frozen=True)
class Scene:
    """A folder with a home and the corpus that it registers, as they are before a run."""

    folder: Path

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.folder / "home")

    def start(self, shard_rows: int) -> subprocess.Popen[str]:
        """Start a run and wait until it begins to work; importing the program is nobody's interest."""
        words = [sys.executable, "-m", __spec__.name, "--child", str(self.home.path), "--shard-rows", str(shard_rows)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        if process.stdout.readline().strip() != READY:
            raise SystemExit(f"the run does not start: exit code {process.wait()}")
        return process

    def finish(self, shard_rows: int) -> float:
        """Run without a kill; seconds."""
        process = self.start(shard_rows)
        started = time.monotonic()
        if process.wait():
            raise SystemExit(f"an undisturbed run fails: exit code {process.returncode}")
        return time.monotonic() - started

    def become(self, other: Scene) -> None:
        """Make the home what another one is."""
        shutil.rmtree(self.home.path, ignore_errors=True)
        shutil.copytree(other.home.path, self.home.path)


def first_scene(folder: Path, photographs: Path | None) -> Scene:
    """A corpus that was never crawled."""
    from warehouse.registry import Corpus, add_corpus
    from warehouse.simulator import simulate_corpus

    scene = Scene(folder)
    if photographs is None:
        simulate_corpus(folder / "corpus", photographs=120, groups=10, seed=0)
    else:
        shutil.copytree(photographs, folder / "corpus")
    add_corpus(scene.home, CORPUS, Corpus(source=str(folder / "corpus")))
    return scene


def change(corpus: Path, moments: random.Random) -> None:
    """Let a tenth of the files change, a tenth vanish, a tenth be touched, and a tenth come under a new name."""
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    tenth = max(1, len(files) // 10)
    drawn = moments.sample(files, min(len(files), 4 * tenth))
    for path in drawn[:tenth]:
        path.write_bytes(path.read_bytes() + b"\0")
    for path in drawn[tenth : 2 * tenth]:
        path.unlink()
    for path in drawn[2 * tenth : 3 * tenth]:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    for path in drawn[3 * tenth :]:
        shutil.copy(path, path.with_name(f"new {path.name}"))


def killed(before: Scene, scene: Scene, kills: int, moments: random.Random, shard_rows: int) -> dict[str, object]:
    """Kill runs from a state on as often as asked, and compare each that ends; what an undisturbed run takes."""
    scene.become(before)
    seconds = scene.finish(shard_rows)
    wanted = committed(scene.home)
    scene.become(before)
    done, ended, differing = 0, 0, set[str]()
    while True:
        process = scene.start(shard_rows)
        try:
            process.wait(moments.uniform(0, seconds) if done < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
            continue
        if process.returncode:
            raise SystemExit(f"a run after a kill fails: exit code {process.returncode}")
        ended += 1
        found = committed(scene.home)
        differing |= {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
        if done >= kills:
            return {
                "kills": done,
                "runs_ended": ended,
                "files_compared": len(wanted),
                "differing": sorted(differing),
                "seconds_undisturbed": round(seconds, 2),
            }
        scene.become(before)


def measure(folder: Path, photographs: Path | None, kills: int, seed: int, shard_rows: int) -> dict[str, object]:
    """Kill first and second crawls, half each; everything is made in `folder`."""
    moments = random.Random(seed)
    scene = first_scene(folder, photographs)
    never, once = Scene(folder / "never"), Scene(folder / "once")
    never.become(scene)
    first = killed(never, scene, kills // 2, moments, shard_rows)
    print(f"first crawl: {json.dumps(first)}", flush=True)
    once.become(scene)
    change(folder / "corpus", moments)
    second = killed(once, scene, kills - kills // 2, moments, shard_rows)
    print(f"second crawl, after changes: {json.dumps(second)}", flush=True)
    identical = not first["differing"] and not second["differing"]
    return {"identical": identical, "seed": seed, "first": first, "second": second}


def main() -> None:
    """Parse words, kill, print."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", default="simulated", help="a folder, or `simulated` (the default)")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-rows", type=int, default=32)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        work(Home(words.child), words.shard_rows)
        return
    photographs = None if words.photographs == "simulated" else Path(words.photographs)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), photographs, words.kills, words.seed, words.shard_rows)
    print(json.dumps(result))
    sys.exit(0 if result["identical"] else 1)


if __name__ == "__main__":
    main()
