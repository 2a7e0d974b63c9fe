"""What do untrained networks tell of EXIF on sources never seen, as their first weights are chosen one way or another?

    python -m benchmarks.first_weights HOME HELDOUT [--seeds 3] [--look]

HOME and HELDOUT are those of `benchmarks.pretext`; only the crops must be cut. The feature of a photograph is the mean
covariance vector of its validation patches by the untrained network, compressed by an inverse hyperbolic sine; ridge
regression on normal scores of a tag's ranks takes the place of a head. Ranking accuracy is the mean over four folds of
the groups that are not held out, so that first weights are chosen in minutes and without a look at the others. `--look`
judges the held-out groups instead, with 95% of bootstrap resamples of groups. Baselines: random first weights, and .5.
Value and ends are means over the seeds. One JSON line last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.crops import Batch, CropShards, validation_batches
from models.features import covariance_features
from models.pretext import RANKED, Targets, read_targets
from models.validation import ranking
from models.weights import untrained
from warehouse.home import Home
from warehouse.store import Store

Floats = NDArray[np.float64]
PATCHES = 16
STARTS = ("random", "differences")


def features(batches: list[Batch], start: str, seed: int) -> Floats:
    """Features of the photographs of the batches, in their order, by an untrained network of preset `compact`."""
    backbone = untrained("compact", seed).eval()
    if start == "differences":
        backbone.stem.start_on_colour_differences()
    vectors = [covariance_features(backbone, patches) for batch in batches for patches in batch.patches]
    means = np.stack([each.mean(axis=0) for each in vectors]).astype(np.float64)
    return np.arcsinh(means / (np.median(np.abs(means), axis=0) + 1e-9))


def predicted(found: Floats, values: Floats, learned: NDArray[np.int64], judged: NDArray[np.int64]) -> Floats:
    """Scores of the photographs `judged` by ridge regression on the photographs `learned`."""
    ranks = rankdata(values[learned])
    model = make_pipeline(StandardScaler(), Ridge(alpha=found.shape[1]))
    model.fit(found[learned], ndtri((ranks - 0.5) / len(ranks)))
    return np.asarray(model.predict(found[judged]), dtype=np.float64)


def splits(groups: NDArray[np.str_], held: set[str], look: bool) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Rows to learn from and rows to judge."""
    outside = np.isin(groups, list(held))
    if look:
        yield np.flatnonzero(~outside), np.flatnonzero(outside)
        return
    rows = np.flatnonzero(~outside)
    for learned, judged in GroupKFold(4).split(rows, groups=groups[rows]):
        yield rows[learned], rows[judged]


def judged_tag(found: Floats, values: Floats, groups: NDArray[np.str_], held: set[str], look: bool) -> list[float]:
    """Ranking accuracy and its interval, means over the splits."""
    rows = []
    for learned, judged in splits(groups, held, look):
        learned, judged = (part[~np.isnan(values[part])] for part in (learned, judged))
        scores = predicted(found, values, learned, judged)
        table = ranking(scores, values[judged], groups[judged].tolist())
        rows.append([table["accuracy"] or 0.0, *(table["interval"] or [0.0, 1.0])])
    means: list[float] = np.mean(rows, axis=0).tolist()
    return means


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what untrained networks tell of EXIF, on sources never seen")
    parser.add_argument("home", type=Path)
    parser.add_argument("heldout", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--look", action="store_true")
    asked = parser.parse_args()
    store = Store(Home.find(asked.home).tables)
    held = set(asked.heldout.read_text(encoding="utf-8").split("\n")) - {""}
    targets: Targets = read_targets(store.paths("pretext_targets")[0])
    shards = CropShards(store.paths("crops"), {photo: row for row, photo in enumerate(targets.photo_ids)})
    batches = list(validation_batches(shards, len(shards.rows), PATCHES, 32, 0))
    rows = np.concatenate([batch.rows for batch in batches])
    groups, values = np.array(targets.groups)[rows], targets.values[rows]
    summary: dict[str, dict[str, list[float]]] = {}
    for start in STARTS:
        by_seed = [features(batches, start, seed) for seed in range(asked.seeds)]
        summary[start] = {}
        for column, tag in enumerate(RANKED):
            found = [judged_tag(each, values[:, column], groups, held, asked.look) for each in by_seed]
            line = np.mean(found, axis=0).round(3).tolist()
            summary[start][tag] = line
            seeds = " ".join(f"{value:.3f}" for value, _, _ in found)
            interval = "[{:.3f}, {:.3f}]".format(*line[1:]) if asked.look else ""
            print(f"{start:12} {tag:22} {seeds:24} {line[0]:.3f} {interval}", flush=True)
    print(json.dumps({"held_out": asked.look, "starts": summary}))


if __name__ == "__main__":
    main()
