"""Squares of the reference photographs beside reconstructions of them, as the discriminant sees them.

Which pairs are made of a photograph belongs to `models/rebuilt_squares.py`, what is fitted on them to
`square_detectors.py`.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.corpus import CALIBRATION, photos, reference_photographs, splits
from assets.photograph_shards import Item, described_photographs
from assets.pictures import decoded_pictures
from assets.reconstruction import autoencoders, autoencoders_file
from assets.square_features import handmade_features
from assets.stage import Context, Product, stage
from warehouse.places import Source
from warehouse.shards import Quarantined, Rows

if TYPE_CHECKING:
    import numpy.typing as npt

TABLE = "reconstruction_pairs"
# Pairs of a photograph.
_PAIRS = 4


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, splits, autoencoders],
    kinds=["parquet", "torch"],
)
def reconstruction_pairs(context: Context) -> Product:
    """Features of squares and of their reconstructions: of makes learned from in folds 0-2, of held-out ones in 3."""
    reference = reference_photographs(context).filter(pl.col("fold") != CALIBRATION)
    file = autoencoders_file(context)
    describe = partial(describe_pairs, file)
    made_from = [file.parent.name]
    return described_photographs(context, TABLE, reference, describe, made_from, "reconstructions")


def describe_pairs(
    file: Path, sources: dict[str, Source], decoders: int, items: tuple[Item, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `reconstruction_pairs` for some photographs, and those whose pixels cannot be had or are too few."""
    from models.autoencoder_run import load_autoencoders
    from models.autoencoders import HELD_OUT
    from models.content import covariates_each
    from models.pretext import TRAINING_FOLDS
    from models.rebuilt_squares import LEAST, rebuilt_squares
    from models.threads import one_thread

    handmade = handmade_features()
    loaded = load_autoencoders(file)
    by_held_out = {kept: [each for each in loaded if (each.make.name in HELD_OUT) is kept] for kept in (False, True)}
    rows: Rows = []
    refused: list[Quarantined] = []
    group_of = {place.sha256: group for place, group in items}
    with one_thread():
        for place, image in decoded_pictures(sources, [place for place, _ in items], refused, decoders):
            group, fold = group_of[place.sha256]
            judging = fold not in TRAINING_FOLDS
            pairs = list(rebuilt_squares(image, place.sha256, by_held_out[judging], _PAIRS))
            if not pairs:
                detail = f"{image.shape[1]} x {image.shape[0]} px; a reconstruction needs {LEAST} on each side"
                refused.append(Quarantined(place.source, place.uri, "too_small", detail, place.sha256))
                continue
            makes, *sides = zip(*pairs, strict=True)
            columns: dict[str, npt.NDArray[Any]] = {}
            for prefix, squares in zip(("photograph", "rebuilt"), map(np.stack, sides), strict=True):
                columns[f"{prefix}_covariates"] = covariates_each(squares)
                columns[f"{prefix}_handmade"] = handmade(squares)
            keys = {"photo_id": place.sha256, "corpus": place.source, "group": group, "fold": fold}
            for pair, make in enumerate(makes):
                vectors = {name: values[pair].astype(np.float32).tolist() for name, values in columns.items()}
                rows.append(keys | {"pair": pair, "make": make, "held_out": judging} | vectors)
    return rows, refused
