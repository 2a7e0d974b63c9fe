"""Does what is learned of EXIF hold for sources never seen? By the network, by statistics, and by both together.

    sdaie --home HOME corpus add ...; sdaie --home HOME run --only corpus; sdaie --home HOME run --only exif
    sdaie --home HOME run --only training
    python -m benchmarks.pretext HOME [HELDOUT] [--seeds 3] [--folds 5] [--set steps=600 ...]

HELDOUT is a text file, one group a line: all other groups train, those are judged. Without it all groups are judged,
each by what has learned from the other folds of groups. The network is judged after its last step, so that nothing is
chosen on who is judged; its scores count in units of their deviation within a fold, since each fold has a network of
its own. The regression on statistics has no seed. `both` adds the two, each in such units. Baseline: .5, since only
ranked tags are judged here; `pretext_metrics` has the others. Intervals are 95% of bootstrap resamples of groups; value
and ends are means over the seeds. One JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.model_selection import GroupKFold

from assets.camera_statistics import camera_statistics
from assets.corpus import photo_places
from assets.exif_claims import fitted, statistics_of
from assets.pretext_outputs import ask_heads
from assets.stage import Context
from models.pretext import RANKED
from models.tag_regression import outputs_of, split_outputs
from models.train import train
from models.train_config import train_config
from models.validation import ranking
from models.weights import load_backbone
from warehouse.home import Home
from warehouse.sources import corpus_sources

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
READERS = ("network", "statistics", "both")


def assignment(text: str) -> tuple[str, Any]:
    """A field of the training configuration and its value, from `name=value`."""
    name, _, value = text.partition("=")
    return name, json.loads(value) if value[:1].isdigit() else value


def splits(groups: Any, heldout: Path | None, folds: int) -> Iterator[tuple[Integers, Integers]]:
    """Rows to learn from and rows to judge."""
    if heldout is None:
        yield from GroupKFold(folds).split(groups, groups=groups)
    else:
        outside = np.isin(groups, heldout.read_text(encoding="utf-8").split("\n"))
        yield np.flatnonzero(~outside), np.flatnonzero(outside)


def by_network(context: Context, rows: pl.DataFrame, learned: Integers, judged: Integers, changes: Any) -> Floats:
    """Outputs of heads trained on the rows `learned` for the rows `judged`, by tag."""
    folds = np.full(len(rows), 4, dtype=np.int8)
    folds[learned], folds[judged] = 0, 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = rows.select(pl.exclude("squares", "statistics")).with_columns(pl.Series("fold", folds))
        targets.write_parquet(folder / "targets.parquet")
        config = train_config("default", **{"validation_patches": 64, "patience": 0, **changes})
        config = replace(config, validation_every=config.steps)
        result = train(config, context.store.paths("crops"), folder / "targets.parquet", folder / "out", _say)
        ids = rows["photo_id"][judged]
        photographs = context.store.read("photos").filter(pl.col("photo_id").is_in(ids.to_list()))
        sources = corpus_sources(context.home, context.registry)
        said, refused = ask_heads(result.weights_path, sources, 1, tuple(photo_places(photographs)))
        header = load_backbone(result.weights_path).header
    assert not refused
    assert header.vocabulary is not None
    outputs = {row["photo_id"]: row["outputs"] for row in said}
    found = split_outputs(np.array([outputs[photo_id] for photo_id in ids]), header.vocabulary)
    return np.stack([found[tag] for tag in RANKED], axis=1)


def by_statistics(rows: pl.DataFrame, learned: Integers, judged: Integers) -> Floats:
    """Outputs of the regression that learned from the rows `learned` for the rows `judged`, by tag."""
    found = outputs_of(fitted(rows[learned]), statistics_of(rows[judged]))
    return np.stack([found[tag] for tag in RANKED], axis=1)


def _say(event: Mapping[str, Any]) -> None:
    if event["event"] == "progress":
        print(json.dumps(event), file=sys.stderr)


def _units(scores: Floats) -> Floats:
    deviation = scores.std(axis=0)
    return np.asarray((scores - scores.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description="what is learned of EXIF, on sources never seen")
    parser.add_argument("home", type=Path)
    parser.add_argument("heldout", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=[], type=assignment, metavar="FIELD=VALUE")
    asked = parser.parse_args()
    context = Context(Home.find(asked.home), say=print)
    if not camera_statistics.is_current(context):
        camera_statistics.materialise(context)
    described = context.store.read("camera_statistics")
    rows = context.store.read("pretext_targets").join(described, on="photo_id").sort("photo_id")
    groups = rows["group"].to_numpy()
    tables: dict[str, list[dict[str, Any]]] = {reader: [] for reader in READERS}
    seconds = []
    for seed in range(asked.seeds):
        scores = {reader: np.full((len(rows), len(RANKED)), np.nan) for reader in READERS}
        for learned, judged in splits(groups, asked.heldout, asked.folds):
            started = time.monotonic()
            network = by_network(context, rows, learned, judged, {**dict(asked.set), "seed": seed})
            seconds.append(time.monotonic() - started)
            regression = by_statistics(rows, learned, judged)
            both = _units(network) + _units(regression)
            for reader, found in zip(READERS, (_units(network), regression, both), strict=True):
                scores[reader][judged] = found
            counts = ", ".join(f"{len(part)} of {len(set(groups[part]))} groups" for part in (learned, judged))
            print(f"seed {seed}: learned from and judged {counts}; the network took {seconds[-1]:.0f} s", flush=True)
        for reader, found in scores.items():
            tables[reader].append(_table(found, rows, groups))
    summary = {reader: _means(seeds) for reader, seeds in tables.items()}
    for tag in RANKED:
        for reader in READERS:
            line = summary[reader].get(tag)
            if line:
                pairs = "{:.3f} [{:.3f}, {:.3f}]".format(*line["accuracy"])
                within = "{:.3f} [{:.3f}, {:.3f}]".format(*line["within"])
                seeds = " ".join(map(str, line["seeds"]))
                print(f"{tag:22} {line['photographs']:5} {reader:10} {pairs} within groups {within} seeds {seeds}")
    config = vars(train_config("default", **dict(asked.set)))
    print(json.dumps({"config": config, "seconds": round(float(np.mean(seconds))), "tags": summary}))


def _table(scores: Floats, rows: pl.DataFrame, groups: npt.NDArray[Any]) -> dict[str, Any]:
    found = {}
    for column, tag in enumerate(RANKED):
        values = rows[tag].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        known = ~np.isnan(values) & ~np.isnan(scores[:, column])
        found[tag] = ranking(scores[known, column], values[known], groups[known].tolist())
    return found


def _means(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """By tag, means over the seeds; without a tag that bounds nothing."""
    found = {}
    for tag in RANKED:
        tables = [table[tag] for table in seeds]
        if any(table.get("interval") is None or table.get("within_group_interval") is None for table in tables):
            continue
        found[tag] = {
            "photographs": tables[0]["labelled"],
            "groups": tables[0]["groups"],
            "accuracy": _mean([[table["accuracy"], *table["interval"]] for table in tables]),
            "within": _mean([[table["within_group_accuracy"], *table["within_group_interval"]] for table in tables]),
            "seeds": [round(table["accuracy"], 3) for table in tables],
        }
    return found


def _mean(rows: list[list[float]]) -> list[float]:
    return [round(float(np.mean(column)), 3) for column in zip(*rows, strict=True)]


if __name__ == "__main__":
    main()
