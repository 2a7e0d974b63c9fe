"""Views of photographs for training: what autoencoders and the network that tells their work learn from.

Here belong which photographs train and which judge, and how a view is drawn of a stored crop. How crops are streamed is
in `crops`, how a view is made in `views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.crops import Batch, Crop, CropShards, TrainingBatches
from models.pretext import TRAINING_FOLDS, VALIDATION_FOLD
from models.run import TrainingDataError
from models.views import resized

MINIMUM = 16
CROP_SIDE, LEAST_SIDE = 512, 128
"""Sides of the stored crops: at most, and at least."""
_CROP_BYTES = CROP_SIDE * CROP_SIDE * 3


@dataclass(frozen=True)
class ViewData:
    """Training batches of views, validation batches of views of held-out sources, and the photographs' names."""

    photo_ids: tuple[str, ...]
    batches: TrainingBatches
    validation: list[Batch]


def read_views(
    crop_shards: Sequence[Path], side: int, size: int, seed: int, held_out: int, memory_bytes: int
) -> ViewData:
    """Batches of `size` views (1, side, side, 3) of photographs of folds 0-2, and views of `held_out` ones of fold 3.

    The shards are Parquet with the columns photo_id, fold and png. CropsError; TrainingDataError for too few
    photographs.
    """
    try:
        tables = [pq.read_table(path, columns=["photo_id", "fold"]) for path in crop_shards]
    except (pa.ArrowInvalid, KeyError) as error:
        raise TrainingDataError(f"no crops with folds; cut the crops again ({error})") from error
    folds = {p: f for table in tables for p, f in zip(*table.to_pydict().values(), strict=True)}
    photo_ids = tuple(sorted(folds))
    rows = {photo: row for row, photo in enumerate(photo_ids)}

    def shards(wanted: Sequence[int], least: int) -> CropShards:
        chosen = {photo: rows[photo] for photo in photo_ids if folds[photo] in wanted}
        if len(chosen) < least:
            raise TrainingDataError(
                f"{len(chosen)} photographs with crops in folds {list(wanted)}, at least {least} are needed; add "
                "photographs of more sources to the reference"
            )
        return CropShards(crop_shards, chosen)

    def drawn(offset: int) -> TrainingBatches:
        def view(crop: Crop, step: int, place: int) -> Crop:
            rng = np.random.default_rng([seed, 2 + offset, step, place])
            return _turned(resized(crop, rng, side), rng)

        folds_of = ([VALIDATION_FOLD], 2) if offset else (list(TRAINING_FOLDS), MINIMUM)
        found = shards(*folds_of)
        return TrainingBatches(
            found, seed + offset, size, 1, memory_bytes, augment=view, side=side, crop_bytes=_CROP_BYTES
        )

    judged = drawn(1)
    try:
        validation = [judged.batch(step) for step in range(-(-min(held_out, len(judged.rows)) // size))]
    finally:
        judged.close()
    return ViewData(photo_ids, drawn(0), validation)


def _turned(image: Crop, rng: np.random.Generator) -> Crop:
    """One of the eight turns and reflections."""
    turned = np.rot90(image, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned
