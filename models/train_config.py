"""What a training run is asked for. Light to import: whoever starts or records a run needs no torch.

Here belong what the loop and the optimiser need of any run, and for the backbone its fields, their defaults (each
chosen on two processor cores) and the named schedules. The binary detector's are in `binary_config`; what they all do
is in `train`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class RunConfig:
    """What every training run is asked for.

    A step takes `patches` patches of each of its images. The learning rate rises over the first `warmup` share of the
    steps, then falls to zero along a cosine or stays constant (`decay`). Gradients are clipped at `gradient_norm`
    (None: not). The run ends after `steps`, or after `patience` validations without a better one (0: never). `minutes`
    only interrupts it: the checkpoint is kept, and the same job goes on from there. `validation_patches` of each image
    are judged. Decoded crops take up to `memory_bytes`; what does not fit is streamed. Raises ValueError for values out
    of range.
    """

    preset: str = "compact"
    steps: int = 1500
    patches: int = 4
    learning_rate: float = 2e-3
    warmup: float = 0.05
    decay: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.05
    gradient_norm: float | None = 1.0
    seed: int = 0
    validation_every: int = 150
    validation_patches: int = 16
    patience: int = 3
    minutes: float | None = None
    threads: int = 2
    memory_bytes: int = 2**30

    def __post_init__(self) -> None:
        if min(self.steps, self.patches, self.validation_every, self.threads) < 1:
            raise ValueError("steps, patches, validation_every and threads are at least 1")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError("minutes is above 0, or None for no limit")
        if self.patience < 0:
            raise ValueError("patience is a number of validations, or 0 for no early stopping")

    def rate_of_step(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        done = step / self.steps
        rise = min(1.0, (done + 1 / self.steps) / self.warmup) if self.warmup else 1.0
        fall = 0.5 * (1 + math.cos(math.pi * done)) if self.decay == "cosine" else 1.0
        return self.learning_rate * rise * fall


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """One training run of the backbone.

    A step takes `batch_photos` photographs; at most `validation_photos` are judged. The first weights are random; with
    the `start` "differences" those of the stem see differences between the colours alone.
    """

    batch_photos: int = 32
    validation_photos: int = 2048
    start: Literal["random", "differences"] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_photos < 2:
            raise ValueError("batch_photos is at least 2")
        if self.start not in ("random", "differences"):
            raise ValueError('start is "random" or "differences"')


SCHEDULES: dict[str, dict[str, Any]] = {
    "default": {},
    # The paper: Adam 1e-4, 16 patches, 64 pairs on each of 8 GPUs. Its number of steps is not public; here as by
    # default. AdamW without weight decay is Adam. A decay, a warm-up and clipping are not mentioned there: there are
    # none.
    "published": {
        "preset": "full",
        "batch_photos": 128,
        "patches": 16,
        "learning_rate": 1e-4,
        "warmup": 0.0,
        "decay": "constant",
        "weight_decay": 0.0,
        "gradient_norm": None,
        "start": "random",
    },
}


def train_config(schedule: str = "default", **changes: Any) -> TrainConfig:
    """The configuration of a named schedule with changes; ValueError for an unknown name or values out of range."""
    if schedule not in SCHEDULES:
        raise ValueError(f"no schedule {schedule!r}; there are {', '.join(SCHEDULES)}")
    return TrainConfig(**{**SCHEDULES[schedule], **changes})
