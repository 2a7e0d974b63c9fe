from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.crops import CropsError, CropShards, InMemory, Source, Streamed, cut, validation_batches
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
    for start in range(0, len(rows), 20):
        paths.append(folder / f"{start:04d}.parquet")
        table = pa.Table.from_pylist(rows[start : start + 20], schema=synthetic_crops.SCHEMA)
        pq.write_table(table, paths[-1], row_group_size=8)
    return paths, {f"p{photo}": photo for photo in range(photos)}


def sources(shards: CropShards, seed: int = 0) -> list[Source]:
    return [InMemory(shards, seed), Streamed(shards, seed, buffer=10)]


def test_patches_are_cut_from_anywhere_in_the_crop() -> None:
    y, x = np.mgrid[:256, :256].astype(np.uint8)
    patches = cut(np.stack([y, x, y], axis=2), 200, np.random.default_rng(0))
    assert patches.shape == (200, 64, 64, 3)
    corners = patches[:, 0, 0, :2]
    assert corners.min() < 10
    assert 182 < corners.max() <= 192
    assert (patches[:, 63, 63, :2] - corners == 63).all()


@pytest.mark.parametrize("kind", [0, 1])
def test_batches_carry_their_own_photographs_patches(tmp_path: Path, kind: int) -> None:
    paths, photos = write(tmp_path, photos=12, crops=3)
    source = sources(CropShards(paths, photos))[kind]
    seen: Counter[tuple[int, int]] = Counter()
    for _ in range(60):
        batch = source.batch(4, 2)
        assert batch.patches.shape == (4, 2, 64, 64, 3)
        assert (batch.patches[..., 0] == batch.rows[:, None, None, None]).all()
        seen.update(zip(batch.rows.tolist(), batch.patches[:, 0, 0, 0, 1].tolist(), strict=True))
    assert {row for row, _ in seen} == set(range(12))
    assert len(seen) == 36


def test_an_epoch_in_memory_shows_every_photograph_once_in_another_order(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    source = InMemory(CropShards(paths, photos), seed=0)
    epochs = [np.concatenate([source.batch(4, 1).rows for _ in range(3)]).tolist() for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("kind", [0, 1])
def test_batches_depend_on_the_seed_alone(tmp_path: Path, kind: int) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    shards = CropShards(paths, photos)
    first, again, other = (
        np.concatenate([sources(shards, seed)[kind].batch(8, 1).rows]).tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_restored_source_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=12, crops=2)
    shards = CropShards(paths, photos)
    source = InMemory(shards, seed=0)
    source.batch(5, 1)
    state = source.state()
    expected = [source.batch(5, 1) for _ in range(4)]
    restored = InMemory(shards, seed=9)
    restored.restore(state)
    for batch in expected:
        same = restored.batch(5, 1)
        assert np.array_equal(same.rows, batch.rows)
        assert np.array_equal(same.patches, batch.patches)


def test_unwanted_photographs_are_never_decoded(tmp_path: Path) -> None:
    paths, _ = write(tmp_path, photos=4, crops=2)
    table = pq.read_table(paths[0]).to_pylist()
    for line in table:
        if line["photo_id"] == "p1":
            line["png"] = b"not a picture"
    pq.write_table(pa.Table.from_pylist(table, schema=synthetic_crops.SCHEMA), paths[0])
    source = InMemory(CropShards(paths, {"p0": 0, "p3": 3}), seed=0)
    assert set(source.batch(8, 1).rows.tolist()) == {0, 3}
    with pytest.raises(CropsError, match=r"0000.parquet.*not a readable PNG"):
        InMemory(CropShards(paths, {"p1": 1}), seed=0)


def test_unusable_shards_are_refused(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=2, crops=1, width=60)
    with pytest.raises(CropsError, match="60 x 80 pixels"):
        InMemory(CropShards(paths, photos), seed=0)
    with pytest.raises(CropsError, match="cut the crops first"):
        CropShards(paths, {"another": 0})
    pq.write_table(pa.table({"photo_id": ["p0"]}), paths[0])
    with pytest.raises(CropsError, match="no column png"):
        CropShards(paths, photos)


def test_budget_counts_decoded_bytes(tmp_path: Path) -> None:
    paths, photos = write(tmp_path, photos=3, crops=2)
    shards = CropShards(paths, photos)
    assert shards.fit(6 * 256 * 256 * 3)
    assert not shards.fit(6 * 256 * 256 * 3 - 1)


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
