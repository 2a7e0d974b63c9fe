from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.binary_config import BinaryConfig
from models.binary_data import BinaryData, held_out, read_binary_data
from models.ranks import Ranks
from models.run import TrainingDataError
from tests.models import synthetic_images

CONFIG = BinaryConfig(batch_images=8, patches=2, validation_patches=1)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return synthetic_images.write(tmp_path_factory.mktemp("images"), images=120)


def read(
    job: dict[str, Any], config: BinaryConfig = CONFIG, left_out: str | None = None, ranks: Ranks | None = None
) -> BinaryData:
    shards = [Path(shard) for shard in job["crop_shards"]]
    return read_binary_data(config, shards, Path(job["images"]), left_out, ranks or Ranks())


def seen(data: BinaryData, steps: int) -> set[str]:
    """Every image of some batches and of validation."""
    rows = [row for step in range(steps) for row in data.batches.batch(step).rows]
    rows += [row for batch in data.validation for row in batch.rows]
    return {data.image_ids[row] for row in rows}


def test_a_batch_is_half_photographs_and_half_generated_and_depends_on_seed_and_step(job: dict[str, Any]) -> None:
    data, again, other = read(job), read(job), read(job, replace(CONFIG, seed=1))
    with closing(data.batches), closing(again.batches), closing(other.batches):
        stream = again.batches.from_step(5)
        with closing(stream):
            next(stream)
            batch, same = data.batches.batch(6), next(stream)
        assert data.labels[batch.rows].tolist() == [0] * 4 + [1] * 4
        assert np.array_equal(batch.patches, same.patches)
        assert np.array_equal(batch.rows, same.rows)
        assert not np.array_equal(batch.patches, other.batches.batch(6).patches)


def test_ranks_share_each_class(job: dict[str, Any]) -> None:
    whole, parts = read(job), [read(job, ranks=Ranks(rank, 2)) for rank in range(2)]
    batch = whole.batches.batch(3)
    first, second = (part.batches.batch(3) for part in parts)
    assert np.array_equal(
        batch.rows, np.concatenate([first.rows[:2], second.rows[:2], first.rows[2:], second.rows[2:]])
    )
    assert np.array_equal(batch.patches[:2], first.patches[:2])
    assert np.array_equal(batch.patches[6:], second.patches[2:])
    for data in (whole, *parts):
        data.batches.close()
    with pytest.raises(TrainingDataError, match="4 images of a class cannot be shared by 3 ranks"):
        read(job, ranks=Ranks(0, 3))


def test_nothing_of_the_part_evaluate_nor_of_a_generator_left_out_is_ever_seen(job: dict[str, Any]) -> None:
    table = {row["image_id"]: row for row in pq.read_table(job["images"]).to_pylist()}
    data, without = read(job), read(job, left_out="X")
    with closing(data.batches), closing(without.batches):
        whole, rest = seen(data, 20), seen(without, 20)
    assert {table[image]["part"] for image in whole} == {"train"}
    assert {table[image]["generator"] for image in whole} == {"real", "x", "y"}
    assert {table[image]["generator"] for image in rest} == {"real", "y"}
    # Every image of the part `train` is either trained on or held out.
    assert len(whole) == sum(row["part"] == "train" for row in table.values())


def test_an_eighth_is_held_out_by_content() -> None:
    images = [hashlib.sha256(bytes([number])).hexdigest() for number in range(80)]
    kept = held_out(images)
    assert len(kept) == 10
    assert held_out(images[::-1]) == kept
    assert len(held_out(images[:1])) == 1
    assert len(kept - held_out([*images, "0" * 64])) <= 1


def test_too_few_images_of_a_class_are_refused(job: dict[str, Any], tmp_path: Path) -> None:
    table = pq.read_table(job["images"])
    few = [row for row in table.to_pylist() if row["label"] == 0 or row["generator"] == "y"]
    pq.write_table(table.from_pylist(few, schema=table.schema), tmp_path / "few.parquet")
    with pytest.raises(TrainingDataError, match=r"0 generated images .* without y, at least 8 are needed"):
        read(job | {"images": str(tmp_path / "few.parquet")}, left_out="y")
    pq.write_table(table.drop_columns(["part"]), tmp_path / "few.parquet")
    with pytest.raises(TrainingDataError, match=r"few\.parquet: no table of images"):
        read(job | {"images": str(tmp_path / "few.parquet")})
