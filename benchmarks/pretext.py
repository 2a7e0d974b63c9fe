"""Does what the network learns of EXIF hold for sources it has never seen? Several seeds, one list of held-out groups.

    sdaie --home HOME corpus add ...; sdaie --home HOME run --only corpus; sdaie --home HOME run --only exif
    sdaie --home HOME run --only training
    python -m benchmarks.pretext HOME HELDOUT [--seeds 3] [--set steps=600 ...]

HELDOUT is a text file, one group a line. All other groups train; the held-out ones are judged once, after the last
step, so nothing is chosen on them. Baseline: .5 for ranked tags, the share of the most frequent class for the others.
Intervals are 95% of bootstrap resamples of groups; value and ends are means over the seeds. One JSON line last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from models.train import train
from models.train_config import train_config
from warehouse.home import Home
from warehouse.store import Store


def assignment(text: str) -> tuple[str, Any]:
    """A field of the training configuration and its value, from `name=value`."""
    name, _, value = text.partition("=")
    return name, json.loads(value) if value[:1].isdigit() else value


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description="what is learned of EXIF, on sources never seen")
    parser.add_argument("home", type=Path)
    parser.add_argument("heldout", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], type=assignment, metavar="FIELD=VALUE")
    asked = parser.parse_args()
    store = Store(Home.find(asked.home).tables)
    groups = set(asked.heldout.read_text(encoding="utf-8").split("\n")) - {""}
    fold = pl.when(pl.col("group").is_in(groups)).then(3).otherwise(0).cast(pl.Int8)
    targets = store.read("pretext_targets").with_columns(fold.alias("fold"))
    judged = targets.filter(pl.col("fold") == 3)
    learned_from = targets.filter(pl.col("fold") == 0)
    for part, does in ((learned_from, "train"), (judged, "are judged")):
        print(f"{len(part)} photographs of {part['group'].n_unique()} groups {does}")
    results, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.parquet"
        targets.write_parquet(path)
        for seed in range(asked.seeds):
            changes: dict[str, Any] = {"validation_patches": 64, "patience": 0, **dict(asked.set), "seed": seed}
            config = train_config("default", **changes)
            config = replace(config, validation_every=config.steps)
            started = time.monotonic()
            result = train(
                config,
                store.paths("crops"),
                path,
                Path(folder) / str(seed),
                lambda report: print(json.dumps(report), file=sys.stderr) if report["event"] == "progress" else None,
            )
            seconds.append(time.monotonic() - started)
            results.append(result.validation)
            print(f"seed {seed}: {seconds[-1]:.0f} s, {result.patches_per_second:.0f} patches/s", flush=True)
    summary: dict[str, Any] = {}
    print(f"\n{'tag':22} {'photos':>6} {'groups':>6}  {'seeds':24} {'all pairs [95%]':22} {'within groups [95%]':22}")
    for tag, first in results[0].items():
        values = [table[tag]["accuracy"] for table in results]
        if first["accuracy"] is None or any(value is None for value in values):
            continue
        line: dict[str, Any] = {
            "accuracy": _interval(results, tag, "accuracy", "interval"),
            "baseline": round(first["baseline"], 3),
            "seeds": [round(value or 0.0, 3) for value in values],
        }
        if first["kind"] == "ranked":
            line["within"] = _interval(results, tag, "within_group_accuracy", "within_group_interval")
        summary[tag] = line
        seeds = " ".join(f"{value:.3f}" for value in line["seeds"])
        print(
            f"{tag:22} {first['labelled']:6} {first['groups']:6}  {seeds:24} {_text(line['accuracy']):22} "
            f"{_text(line['within']) if 'within' in line else 'baseline ' + format(line['baseline'], '.3f'):22}"
        )
    print(json.dumps({"config": vars(config), "seconds": round(statistics.mean(seconds)), "tags": summary}))


def _interval(results: list[Any], tag: str, value: str, interval: str) -> list[float]:
    """Mean over the seeds of a value and of the ends of its interval."""
    rows = [[table[tag][value], *table[tag][interval]] for table in results]
    return [round(statistics.mean(column), 3) for column in zip(*rows, strict=True)]


def _text(numbers: list[float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*numbers)


if __name__ == "__main__":
    main()
