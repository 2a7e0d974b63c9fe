"""A home with one scored benchmark set, for the tests of what is made of scores: real files, tables by the store."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from warehouse.home import Home
from warehouse.registry import Dataset, add_dataset
from warehouse.shards import frame
from warehouse.store import Store

Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """An image: its row of `benchmark_images`, and its number within the set."""

    number: int
    row: Row


def rows_of(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows with the columns left out as null."""
    return frame(table, [dict.fromkeys(frame(table, []).columns) | row for row in rows])


def png(number: int, width: int = 24, height: int = 16) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_home(
    path: Path,
    reals: Mapping[str, int],
    fakes: Mapping[str, tuple[int, str | None]],
    score: Callable[[str, str, str, Made], float | None],
    *,
    name: str = "dev",
    detectors: Sequence[str] = ("one_class",),
    seen: Mapping[str, str] | None = None,
    conditions: Sequence[tuple[str, str]] = (("format_matched", "none"),),
    without_threshold: Sequence[str] = (),
    picture: Callable[[int], bytes] = png,
) -> tuple[Home, list[Made]]:
    """Photographs by source, generated images by generator with what they are paired with; `score` of each.

    A score is also called generated above 0.5. Complexity is the number of the image in its set, modulo 7.
    """
    home, folder = Home(path / "home"), path / name
    images: list[Made] = []
    for generator, source, count, paired in (
        *(("real", source, count, None) for source, count in reals.items()),
        *((generator, generator, count, paired) for generator, (count, paired) in fakes.items()),
    ):
        for _ in range(count):
            data, uri = picture(len(images)), f"{generator}/{len(images)}.png"
            (folder / generator).mkdir(parents=True, exist_ok=True)
            (folder / uri).write_bytes(data)
            row: Row = {"dataset": name, "image_id": hashlib.sha256(data).hexdigest(), "uri": uri, "source": source}
            row |= {"label": int(generator != "real"), "generator": generator, "paired_real": paired}
            images.append(Made(len(images), row))
    listing = pl.DataFrame([each.row for each in images], infer_schema_length=None).rename({"uri": "file"})
    listing.select("file", "label", "generator", "source", "paired_real").write_csv(folder / "benchmark.csv")
    home.path.mkdir(exist_ok=True)
    add_dataset(home, name, Dataset(source=str(folder / "benchmark.csv")))
    _write_tables(home, images, score, detectors, conditions, without_threshold)
    _write_detectors(home, detectors, conditions, seen or {})
    return home, images


def _write_tables(
    home: Home,
    images: list[Made],
    score: Callable[[str, str, str, Made], float | None],
    detectors: Sequence[str],
    conditions: Sequence[tuple[str, str]],
    without_threshold: Sequence[str],
) -> None:
    store = Store(home.tables)
    for generator in sorted({each.row["generator"] for each in images}):
        own = [each for each in images if each.row["generator"] == generator]
        features, scores = [], []
        for each in own:
            image = {key: each.row[key] for key in ("dataset", "image_id")}
            for track, perturbation in conditions:
                keys = image | {"track": track, "perturbation": perturbation}
                features += [keys | {"backbone": b, "complexity": float(each.number % 7)} for b in ("a", "b")]
                for detector in detectors:
                    said = score(detector, track, perturbation, each)
                    known = {key: each.row[key] for key in ("label", "generator")}
                    row = keys | known | {"detector": detector, "detector_id": f"id {detector}", "score": said}
                    if said is None:
                        row["reason"] = "cannot_tell"
                    elif detector not in without_threshold:
                        row |= {"flagged": said > 0.5, "p_value": max(0.0, 1 - said)}
                    scores.append(row)
        partition = f"{own[0].row['dataset']}.{generator}"
        store.write("benchmark_images", rows_of("benchmark_images", [each.row for each in own]), partition=partition)
        store.write("benchmark_features", rows_of("benchmark_features", features), partition=partition)
        store.write("benchmark_scores", rows_of("benchmark_scores", scores), partition=partition)


def _write_detectors(
    home: Home, detectors: Sequence[str], conditions: Sequence[tuple[str, str]], seen: Mapping[str, str]
) -> None:
    store = Store(home.tables)
    fitted = [
        {"detector": detector, "track": track, "detector_id": f"id {detector}", "seen": seen.get(detector)}
        for detector in detectors
        for track in sorted({track for track, _ in conditions})
    ]
    store.write("detectors", rows_of("detectors", fitted))
    champion = {"detector": detectors[0], "detector_id": f"id {detectors[0]}"}
    store.write("champions", rows_of("champions", [champion]))
    photos = [
        {"detector": detector, "track": "format_matched", "photo_id": f"{number:02d}", "corpus": "photos"}
        | {"group": "g", "fold": 3 + number % 2, "score": number / 20, "p_value": 1 - number / 20}
        for detector in detectors
        for number in range(20)
    ]
    store.write("photo_scores", rows_of("photo_scores", photos))
