from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.crops import CropsError, CropShards, TrainingBatches, cut_at, validation_batches
from tests.models import synthetic_crops


def write(folder: Path, photos: int, crops: int, width: int = 80) -> tuple[list[Path], dict[str, int]]:
    """Shards whose crops are all of one colour: (photograph, crop, 0)."""
    rows = [
        {
            "photo_id": f"p{photo}",
            "crop": crop,
            "x": 0,
            "y": 0,
            "png": synthetic_crops.png(np.full((80, width, 3), [photo, crop, 0], dtype=np.uint8)),
        }
        for photo in range(photos)
        for crop in range(crops)
    ]
    paths = []
    for start in range(0, len(rows), 24):
        paths.append(folder / f"{start:04d}.parquet")
        table = pa.Table.from_pylist(rows[start : start + 24], schema=synthetic_crops.SCHEMA)
        pq.write_table(table, paths[-1], row_group_size=6)
    return paths, {f"p{photo}": photo for photo in range(photos)}


EVERYTHING, A_LITTLE = 2**30, 2**19
"""Memory for all crops at once, and for one row group at a time."""


def batches(shards: CropShards, seed: int = 0, size: int = 4, memory: int = EVERYTHING) -> TrainingBatches:
    return TrainingBatches(shards, seed, size, 2, memory)


def test_patches_are_cut_from_anywhere_in_the_crop() -> None:
    y, x = np.mgrid[:256, :256].astype(np.uint8)
    patches = cut_at(np.stack([y, x, y], axis=2), np.random.default_rng(0).random((200, 2)))
    assert patches.shape == (200, 64, 64, 3)
    corners = patches[:, 0, 0, :2]
    assert corners.min() < 10
    assert 182 < corners.max() <= 192
    assert (patches[:, 63, 63, :2] - corners == 63).all()


@pytest.mark.parametrize("memory", [EVERYTHING, A_LITTLE])
def test_batches_carry_their_own_photographs_patches(tmp_path: Path, memory: int) -> None:
    paths, photos = write(tmp_path, photos=12, crops=3)
    seen: Counter[tuple[int, int]] = Counter()
    with closing(batches(CropShards(paths, photos), memory=memory)) as training:
        for batch in islice(training.from_step(0), 60):
            assert batch.patches.shape == (4, 2, 64, 64, 3)
            assert (batch.patches[..., 0] == batch.rows[:, None, None, None]).all()
            seen.update(zip(batch.rows.tolist(), batch.patches[:, 0, 0, 0, 1].tolist(), strict=True))
    assert {row for row, _ in seen} == set(range(12))
    assert len(seen) == 36


@pytest.mark.parametrize("memory", [EVERYTHING, A_LITTLE])
def test_an_epoch_shows_every_photograph_once_in_another_order(tmp_path: Path, memory: int) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    with closing(batches(CropShards(paths, photos), memory=memory)) as training:
        rows = np.concatenate([training.batch(step).rows for step in range(6)]).tolist()
    epochs = [rows[:12], rows[12:]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]


def test_batches_depend_on_the_seed(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    shards = CropShards(paths, photos)
    first, again, other = (batches(shards, seed, size=8).batch(0).rows.tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("memory", [EVERYTHING, A_LITTLE])
def test_a_batch_does_not_depend_on_where_one_began(tmp_path: Path, memory: int) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    shards = CropShards(paths, photos)
    with closing(batches(shards, size=5, memory=memory)) as training:
        undisturbed = list(islice(training.from_step(0), 9))
    with closing(batches(shards, size=5, memory=memory)) as training:
        resumed = list(islice(training.from_step(6), 3))
    for batch, same in zip(undisturbed[6:], resumed, strict=True):
        assert np.array_equal(same.rows, batch.rows)
        assert np.array_equal(same.patches, batch.patches)


def test_parts_of_a_batch_make_the_whole(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    shards = CropShards(paths, photos)
    whole = batches(shards, size=6).batch(3)
    parts = [TrainingBatches(shards, 0, 6, 2, EVERYTHING, part, 2).batch(3) for part in range(2)]
    assert np.array_equal(np.concatenate([part.patches for part in parts]), whole.patches)
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()


def test_unwanted_photographs_are_never_decoded(tmp_path: Path) -> None:
    paths, _ = write(tmp_path, photos=4, crops=2)
    table = pq.read_table(paths[0]).to_pylist()
    for line in table:
        if line["photo_id"] == "p1":
            line["png"] = b"not a picture"
    pq.write_table(pa.Table.from_pylist(table, schema=synthetic_crops.SCHEMA), paths[0])
    assert set(batches(CropShards(paths, {"p0": 0, "p3": 3}), size=8).batch(0).rows.tolist()) == {0, 3}
    with pytest.raises(CropsError, match=r"0000.parquet.*not a readable PNG"):
        batches(CropShards(paths, {"p1": 1})).batch(0)


def test_unusable_shards_are_refused(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=2, crops=1, width=60)
    with pytest.raises(CropsError, match="60 x 80 pixels"):
        batches(CropShards(paths, photos)).batch(0)
    with pytest.raises(CropsError, match="cut the crops first"):
        CropShards(paths, {"another": 0})
    pq.write_table(pa.table({"photo_id": ["p0"]}), paths[0])
    with pytest.raises(CropsError, match="no column png"):
        CropShards(paths, photos)


def test_validation_patches_are_the_same_at_every_call(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=12, crops=3)
    shards = CropShards(paths, photos)
    first, again = (list(validation_batches(shards, 100, 2, 5, seed=3)) for _ in range(2))
    rows = np.concatenate([batch.rows for batch in first])
    assert sorted(rows.tolist()) == list(range(12))
    assert [len(batch.rows) for batch in first] == [5, 5, 2]
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.patches, other.patches)
        assert (one.patches[..., 0] == one.rows[:, None, None, None]).all()
    assert sum(len(batch.rows) for batch in validation_batches(shards, 4, 2, 5, seed=3)) == 4
