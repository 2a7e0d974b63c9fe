"""Typed EXIF: the rules over what exiftool printed (`exif`, `exif_issues`).

The rules are in `warehouse/exif_rules.py`; nothing is decided here. Both tables are one file each, so they are put
together in memory, as columns: what the rules make of some shards of `exif_raw` at a time.
"""

import json
from functools import partial
from pathlib import Path

import polars as pl

from assets.corpus import photos
from assets.exif_raw import exif_raw
from assets.stage import Context, Product, stage
from warehouse.compute import Failed
from warehouse.exif_rules import normalise
from warehouse.home import UserError
from warehouse.shards import Rows, frame

_AT_ONCE = 8
"""Shards of `exif_raw` in one piece of work: some seconds."""


@stage(group="exif", tables=["exif", "exif_issues"], upstream=[photos, exif_raw], version=2, eager=True)
def exif(context: Context) -> Product:
    """Typed EXIF columns with units; every value not taken as it stood is a row of exif_issues with the reason."""
    raw = context.store.paths("exif_raw")
    pieces = [raw[start : start + _AT_ONCE] for start in range(0, len(raw), _AT_ONCE)]
    apply = partial(apply_rules, context.store.paths("photos"))
    progress = context.progress("rules on EXIF, shards")
    made: dict[int, tuple[pl.DataFrame, pl.DataFrame]] = {}
    for number, outcome in context.compute.map(apply, pieces):
        if isinstance(outcome, Failed):
            raise outcome.error or UserError(f"the rules on EXIF could not be applied: {outcome.detail}")
        made[number] = outcome
        progress(min(len(made) * _AT_ONCE, len(raw)), len(raw))
    in_order = [made[number] for number in sorted(made)]
    table = pl.concat([frame("exif", []), *(typed for typed, _ in in_order)])
    issues = pl.concat([frame("exif_issues", []), *(noted for _, noted in in_order)])
    numbers = {
        "issues": len(issues),
        "edited": int(table["edited"].sum()),
        "resized_or_cropped": int(table["resized_or_cropped"].sum()),
        "with_generator_mark": len(table) - table["generator_mark"].null_count(),
        "with_make": len(table) - table["make"].null_count(),
        "simulated": int(table["simulated"].sum()),
    }
    unique = issues.unique(["photo_id", "tag", "reason"], keep="first", maintain_order=True)
    return Product({"exif": table, "exif_issues": unique}, numbers)


def apply_rules(photographs: list[Path], raw: list[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `exif` and of `exif_issues`, repeated ones too, for some files of `exif_raw`; `photos` lies in others."""
    read = pl.concat([pl.read_parquet(path, columns=["photo_id", "tags"]) for path in raw])
    first, last = (pl.lit(end, pl.String) for end in (read["photo_id"].min(), read["photo_id"].max()))
    sizes = pl.scan_parquet(photographs).filter(pl.col("photo_id").is_between(first, last))
    known = read.join(sizes.select("photo_id", "width", "height").collect(), on="photo_id", how="left")
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
