"""Typed EXIF: the rules over what exiftool printed (`exif`, `exif_issues`).

The rules are in `warehouse/exif_rules.py`; nothing is decided here. They are applied to some shards of `exif_raw` at a
time, and what comes of them is written while the next are made: each of both tables is one file.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from assets.corpus import photos
from assets.exif_raw import exif_raw
from assets.stage import Context, Product, stage
from warehouse.compute import Failed, in_order
from warehouse.exif_rules import normalise
from warehouse.home import UserError
from warehouse.shards import Rows, frame

_AT_ONCE = 8
"""Shards of `exif_raw` in one piece of work: some seconds."""


@stage(group="exif", tables=["exif", "exif_issues"], upstream=[photos, exif_raw], version=2, eager=True)
def exif(context: Context) -> Product:
    """Typed EXIF columns with units; every value not taken as it stood is a row of exif_issues with the reason."""
    noted = [frame("exif_issues", [])]
    numbers = dict.fromkeys(
        ("issues", "edited", "resized_or_cropped", "with_generator_mark", "with_make", "simulated"), 0
    )

    def typed() -> Iterator[pl.DataFrame]:
        for rows, issues in _normalised(context):
            numbers["issues"] += len(issues)
            for name in ("edited", "resized_or_cropped", "simulated"):
                numbers[name] += int(rows[name].sum())
            for name in ("generator_mark", "make"):
                numbers[f"with_{name}"] += len(rows) - rows[name].null_count()
            noted.append(issues.unique(["photo_id", "tag", "reason"], keep="first", maintain_order=True))
            yield rows

    written = context.store.write_shard("exif", typed())
    return Product({"exif": [written], "exif_issues": pl.concat(noted)}, numbers)


def _normalised(context: Context) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows of `exif` and of `exif_issues`, those of some shards of `exif_raw` at a time, in their order."""
    raw = context.store.paths("exif_raw")
    pieces = [raw[start : start + _AT_ONCE] for start in range(0, len(raw), _AT_ONCE)]
    progress = context.progress("rules on EXIF, shards")
    made = context.compute.map(partial(apply_rules, context.store.paths("photos")), pieces)
    for done, outcome in enumerate(in_order(made), 1):
        if isinstance(outcome, Failed):
            raise outcome.error or UserError(f"the rules on EXIF could not be applied: {outcome.detail}")
        progress(min(done * _AT_ONCE, len(raw)), len(raw))
        yield outcome


def apply_rules(photographs: list[Path], raw: list[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `exif` and of `exif_issues`, repeated ones too, for some files of `exif_raw`; `photos` lies in others."""
    read = pl.concat([pl.read_parquet(path, columns=["photo_id", "tags"]) for path in raw])
    first, last = (pl.lit(end, pl.String) for end in (read["photo_id"].min(), read["photo_id"].max()))
    sizes = pl.scan_parquet(photographs).filter(pl.col("photo_id").is_between(first, last))
    stored_sizes = sizes.select("photo_id", "width", "height").collect()
    known = read.join(stored_sizes, on="photo_id", how="left", maintain_order="left")
    rows: Rows = []
    issues: Rows = []
    for photo_id, tags, width, height in known.iter_rows():
        stored = None if width is None or height is None else (width, height)
        normalised = normalise(json.loads(tags), stored)
        rows.append({"photo_id": photo_id, **normalised.row})
        issues += [
            {"photo_id": photo_id, "tag": i.tag, "reason": i.reason, "raw_value": i.raw_value}
            for i in normalised.issues
        ]
    return frame("exif", rows), frame("exif_issues", issues)


def only_simulated(context: Context, rows: pl.DataFrame) -> bool:
    """Whether the simulator rendered all photographs that rows are of, by their `photo_id`."""
    return rows.join(simulated_ids(context).to_frame(), on="photo_id", how="anti").is_empty()


def simulated_ids(context: Context) -> pl.Series:
    """Photographs that the simulator rendered."""
    return context.store.read("exif", columns=["photo_id", "simulated"]).filter("simulated")["photo_id"]
