"""What a training run of the binary detector is asked for. Light to import, as `train_config` is.

The fields, their defaults and the named schedules belong here; what they do is in `binary_run` and `train`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

from models.train_config import RunConfig


@dataclass(frozen=True)
class BinaryConfig(RunConfig):
    """One training run of the binary detector.

    A step takes `batch_images` images, half of them photographs and half generated. `alpha` weighs the distance to the
    taps of the pretext backbone; 0 leaves it out, and the pretext backbone is not run. With `epochs` the number of
    steps is that of so many times the training images (see `resolved`), whatever `steps` says. At most
    `validation_images` are judged, half of each class.
    """

    steps: int = 1200
    validation_every: int = 100
    patience: int = 5
    batch_images: int = 32
    validation_images: int = 1024
    alpha: float = 0.05
    epochs: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_images < 2 or self.batch_images % 2:
            raise ValueError("batch_images is an even number: half photographs, half generated images")
        if self.validation_images < 2 or self.alpha < 0 or (self.epochs is not None and self.epochs < 1):
            raise ValueError("validation_images is at least 2, epochs at least 1, alpha not below 0")

    def resolved(self, images: int) -> Self:
        """The same with the steps that `epochs` make of this number of training images."""
        if self.epochs is None:
            return self
        return replace(self, steps=math.ceil(self.epochs * images / self.batch_images))


BINARY_SCHEDULES: dict[str, dict[str, Any]] = {
    "default": {},
    # The paper: Adam 1e-3, batches of 100 on each GPU, 16 patches, 15 epochs. AdamW without weight decay is Adam. A
    # decay, a warm-up, clipping and early stopping are not mentioned there: there are none.
    "published": {
        "preset": "full",
        "batch_images": 100,
        "patches": 16,
        "epochs": 15,
        "learning_rate": 1e-3,
        "warmup": 0.0,
        "decay": "constant",
        "weight_decay": 0.0,
        "gradient_norm": None,
        "validation_every": 1000,
        "patience": 0,
    },
}


def binary_config(schedule: str = "default", **changes: Any) -> BinaryConfig:
    """The configuration of a named schedule with changes; `steps` among them takes the place of epochs.

    ValueError for an unknown name or values out of range.
    """
    if schedule not in BINARY_SCHEDULES:
        raise ValueError(f"no schedule {schedule!r}; there are {', '.join(BINARY_SCHEDULES)}")
    counted = {"epochs": None} if "steps" in changes else {}
    return BinaryConfig(**{**BINARY_SCHEDULES[schedule], **counted, **changes})
