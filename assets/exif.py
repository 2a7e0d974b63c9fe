"""Typed EXIF: the rules over what exiftool printed (`exif`, `exif_issues`).

The rules are in `warehouse/exif_rules.py`; nothing is decided here.
"""

import json

import polars as pl

from assets.corpus import photos
from assets.exif_raw import exif_raw
from assets.stage import Context, Product, stage
from warehouse.exif_rules import normalise
from warehouse.shards import Rows, frame


@stage(group="exif", tables=["exif", "exif_issues"], upstream=[photos, exif_raw], version=2, eager=True)
def exif(context: Context) -> Product:
    """Typed EXIF columns with units; every value not taken as it stood is a row of exif_issues with the reason."""
    rows: Rows = []
    issues: Rows = []
    raw = context.store.read("exif_raw", columns=["photo_id", "tags"]).join(
        context.store.read("photos", columns=["photo_id", "width", "height"]), on="photo_id", how="left"
    )
    for photo_id, tags, width, height in raw.iter_rows():
        stored = None if width is None or height is None else (width, height)
        normalised = normalise(json.loads(tags), stored)
        rows.append({"photo_id": photo_id, **normalised.row})
        issues += [
            {"photo_id": photo_id, "tag": i.tag, "reason": i.reason, "raw_value": i.raw_value}
            for i in normalised.issues
        ]
    table = frame("exif", rows)
    numbers = {
        "issues": len(issues),
        "edited": int(table["edited"].sum()),
        "resized_or_cropped": int(table["resized_or_cropped"].sum()),
        "with_generator_mark": len(table) - table["generator_mark"].null_count(),
        "with_make": len(table) - table["make"].null_count(),
        "simulated": int(table["simulated"].sum()),
    }
    unique = frame("exif_issues", issues).unique(["photo_id", "tag", "reason"], keep="first", maintain_order=True)
    return Product({"exif": table, "exif_issues": unique}, numbers)


def only_simulated(context: Context, rows: pl.DataFrame) -> bool:
    """Whether the simulator rendered all photographs that rows are of, by their `photo_id`."""
    return rows.join(simulated_ids(context).to_frame(), on="photo_id", how="anti").is_empty()


def simulated_ids(context: Context) -> pl.Series:
    """Photographs that the simulator rendered."""
    return context.store.read("exif", columns=["photo_id", "simulated"]).filter("simulated")["photo_id"]
