"""What the binary detector learns from: photographs and generated images in equal numbers.

Here belong reading which images there are, which of them are held out, and the batches. Crops are read and cut by
`crops`, changed by `augmentation`; what is learned from them is in `binary_run`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.augmentation import augment
from models.binary_config import BinaryConfig
from models.crops import Batch, Crop, CropShards, TrainingBatches, validation_batches
from models.ranks import Ranks
from models.run import TrainingDataError

PHOTOGRAPH, GENERATED = 0, 1
CLASSES = (PHOTOGRAPH, GENERATED)
NAMES = ("photographs", "generated images")
TRAIN = "train"
HELD_OUT = 8
"""One of so many images of each class is held out of training and chooses the weights."""
MINIMUM = 8
"""Images of each class that must be left to train on."""


@dataclass(frozen=True)
class BinaryData:
    """What a run learns from and is judged on. A batch's rows are those of `image_ids` and `labels` (n,)."""

    image_ids: list[str]
    labels: NDArray[np.int64]
    batches: BalancedBatches
    validation: list[Batch]
    trained: tuple[int, int]

    @property
    def images(self) -> int:
        """Images that are trained on, of both classes."""
        return sum(self.trained)


class BalancedBatches:
    """Batches half of photographs, half of generated images, of which each class has an endless order of its own.

    Batch k depends on the seed, on k and on the shards alone, augmentation too. The smaller class comes around more
    often. Each part of several holds its share of both classes: first photographs, then generated images.
    """

    def __init__(self, classes: Sequence[CropShards], config: BinaryConfig, ranks: Ranks) -> None:
        half = config.batch_images // 2
        self._classes = [
            TrainingBatches(
                shards,
                # Each class draws on its own: equal draws would cut both alike.
                len(CLASSES) * config.seed + label,
                half,
                config.patches,
                config.memory_bytes // len(CLASSES),
                ranks.rank,
                ranks.count,
                partial(_augmented, config.seed, label * half),
            )
            for label, shards in zip(CLASSES, classes, strict=True)
        ]

    @property
    def waited_seconds(self) -> float:
        """What those who took batches had to wait for them."""
        return sum(batches.waited_seconds for batches in self._classes)

    def from_step(self, step: int) -> Generator[Batch, None, None]:
        """Batches from the given step on, without end."""
        photographs, generated = (batches.from_step(step) for batches in self._classes)
        with closing(photographs), closing(generated):
            for pair in zip(photographs, generated, strict=True):
                yield _together(pair)

    def batch(self, step: int) -> Batch:
        """This part of batch `step`."""
        return _together([batches.batch(step) for batches in self._classes])

    def close(self) -> None:
        """End the threads."""
        for batches in self._classes:
            batches.close()


def _augmented(seed: int, offset: int, crop: Crop, step: int, place: int) -> Crop:
    return augment(crop, seed, step, offset + place)


def _together(parts: Sequence[Batch]) -> Batch:
    return Batch(np.concatenate([part.patches for part in parts]), np.concatenate([part.rows for part in parts]))


def held_out(image_ids: Sequence[str]) -> set[str]:
    """An eighth, rounded up, of images given by their SHA-256: the first in the order of the digits read backwards.

    The order has nothing to do with the leading digits, which sort images into shards, nor with how many there are:
    an image more moves no more than one other.
    """
    ordered = sorted(image_ids, key=lambda image: image[::-1])
    return set(ordered[: -(-len(ordered) // HELD_OUT)])


def read_binary_data(
    config: BinaryConfig, crop_shards: Sequence[Path], images_path: Path, left_out: str | None, ranks: Ranks
) -> BinaryData:
    """Training batches of this rank's share, and validation batches, of the images of part `train`.

    `images_path` is Parquet with the columns image_id, generator, label and part. No image of the generator `left_out`
    is taken, in whatever case its name is written. CropsError; TrainingDataError for too few images of a class or a
    batch that the ranks cannot share.
    """
    if config.batch_images // 2 % ranks.count:
        raise TrainingDataError(f"{config.batch_images // 2} images of a class cannot be shared by {ranks.count} ranks")
    image_ids, labels = _images(images_path, left_out)
    cropped = set().union(*(pq.read_table(path, columns=["image_id"])["image_id"].to_pylist() for path in crop_shards))
    training, validation, trained = [], [], []
    for label in CLASSES:
        rows = {image: row for row, image in enumerate(image_ids) if labels[row] == label and image in cropped}
        kept = held_out(list(rows))
        trained.append(len(rows) - len(kept))
        if trained[-1] < MINIMUM:
            raise TrainingDataError(
                f"{trained[-1]} {NAMES[label]} to train the binary detector on{_without(left_out)}, at least {MINIMUM} "
                "are needed; give more images to the sets with the use 'train'"
            )
        training.append(CropShards(crop_shards, {i: r for i, r in rows.items() if i not in kept}, "image_id"))
        validation.append(CropShards(crop_shards, {i: r for i, r in rows.items() if i in kept}, "image_id"))
    judged = [
        batch
        for shards in validation
        for batch in validation_batches(
            shards, config.validation_images // 2, config.validation_patches, config.batch_images, config.seed
        )
    ]
    return BinaryData(
        image_ids, labels, BalancedBatches(training, config, ranks), judged, (trained[PHOTOGRAPH], trained[GENERATED])
    )


def _without(left_out: str | None) -> str:
    return f" without {left_out}" if left_out is not None else ""


def _images(path: Path, left_out: str | None) -> tuple[list[str], NDArray[np.int64]]:
    """Identities and labels of the images that may be learned from."""
    try:
        table = pq.read_table(path, columns=["image_id", "generator", "label", "part"])
    except (pa.ArrowInvalid, KeyError) as error:
        raise TrainingDataError(f"{path.name}: no table of images; list them again ({error})") from error
    rows = [
        (row["image_id"], row["label"])
        for row in table.to_pylist()
        if row["part"] == TRAIN and (left_out is None or row["generator"].lower() != left_out.lower())
    ]
    return [image for image, _ in rows], np.array([label for _, label in rows], dtype=np.int64)
