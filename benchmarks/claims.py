"""Do the pixels tell a photograph's own EXIF from another's? On sources of which nothing has been learned.

    sdaie --home HOME corpus add ...; sdaie --home HOME run --only corpus; sdaie --home HOME run --only exif
    sdaie --home HOME run --only training
    python -m benchmarks.claims HOME [--heldout FILE] [--seeds 5]

The held-out photographs (folds 3 and 4) exchange metadata in pairs of different sources; what judges a half of the
sources is learned on the other. AUROC with its 95% interval over sources: means, of the value and of the ends, over
`--seeds` divisions into halves and choices of pairs. Swapped = positive. Baseline: knowing nothing gives .5 whatever
the values, since each is claimed as often truly as falsely. With FILE (one group a line) both photographs of a pair are
of those groups. What reads the tags is a regression on statistics; the baseline beside it, the heads of the backbone.
One JSON line last.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.camera_statistics import camera_statistics
from assets.exif_claims import Reading, held_out_readings, strata
from assets.pretext_outputs import pretext_outputs
from assets.stage import Context
from models.swaps import NAMES, Told, cross_fitted, exchange, halves, told
from warehouse.home import Home


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="own EXIF against swapped EXIF")
    parser.add_argument("home", type=Path)
    parser.add_argument("--heldout", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    context = Context(Home.find(asked.home), say=print)
    for stage in (camera_statistics, pretext_outputs):
        if not stage.is_current(context):
            stage.materialise(context)
    summary = {}
    for reading in held_out_readings(context):
        print(f"\nread by {reading.reader.kind}")
        summary[reading.reader.kind] = measured(reading, asked.heldout, asked.seeds)
    print(json.dumps({"home": asked.home.name, "seeds": asked.seeds, "read_by": summary}))


def measured(reading: Reading, heldout: Path | None, seeds: int) -> dict[str, dict[str, Any]]:
    """Lines of the tags by kind of swap, which are printed too."""
    rows, outputs, claimed = reading.rows, reading.outputs, reading.claimed
    groups = rows["group"].to_numpy()
    wanted = np.ones(len(rows), dtype=np.bool_)
    if heldout:
        wanted = rows["group"].is_in(heldout.read_text(encoding="utf-8").split()).to_numpy()
    print(f"{len(rows)} held-out photographs of {rows['group'].n_unique()} sources")
    print(f"{wanted.sum()} of {rows.filter(pl.Series(wanted))['group'].n_unique()} are judged")
    found: list[dict[str, Any]] = []
    for seed in range(seeds):
        parts = halves(outputs, claimed, groups, seed)
        own = cross_fitted(parts, outputs, claimed)
        exchanged = exchange(parts, outputs, claimed, groups, seed)
        both = wanted[exchanged.first] & wanted[exchanged.second]
        kinds = strata(rows, exchanged).items()
        found.append({kind: told(exchanged, own, groups, chosen & both, seed) for kind, chosen in kinds})
    summary: dict[str, dict[str, Any]] = {}
    for kind in found[0]:
        print(f"\n{kind:22} {'photos':>6} {'sources':>7} {'pairs':>6}  {'AUROC [95%]':20} found at 5%")
        lines = {tag: _line([seed[kind][tag] for seed in found]) for tag in NAMES}
        summary[kind] = {tag: line for tag, line in lines.items() if line}
        for tag, line in summary[kind].items():
            area = "{:.3f} [{:.3f}, {:.3f}]".format(*line["auroc"])
            counts = f"{line['photographs']:6} {line['sources']:7} {line['pairs']:6}"
            print(f"{tag:22} {counts}  {area:20} {line['found_at_5']:.3f}")
    return summary


def _line(seeds: list[Told]) -> dict[str, Any] | None:
    """Means over the seeds; None where the pixels say nothing of the tag, or bound nothing, under one of them."""
    areas = [(each.auroc.value, each.auroc.low, each.auroc.high) for each in seeds]
    if any(number is None for area in areas for number in area):
        return None
    return {
        "photographs": round(statistics.mean(each.photographs for each in seeds)),
        "sources": round(statistics.mean(each.sources for each in seeds)),
        "pairs": round(statistics.mean(each.pairs for each in seeds)),
        "auroc": np.round(np.mean(np.array(areas, dtype=np.float64), axis=0), 3).tolist(),
        "found_at_5": round(statistics.mean(each.found or 0.0 for each in seeds), 3),
    }


if __name__ == "__main__":
    main()
