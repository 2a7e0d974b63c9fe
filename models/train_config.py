"""What a training run is asked for. Light to import: whoever starts or records a run needs no torch.

The fields and their defaults belong here, each chosen on two processor cores; what they do is in `train.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    A step takes `batch_photos` photographs of `patches` patches each. The learning rate rises over the first
    `warmup` share of the run and falls to zero along a cosine. `minutes` ends the run early and shortens
    the cosine with it; such a run depends on the machine's speed, one without it only on the seed and `threads`.
    `validation_patches` of each of at most `validation_photos` photographs are judged. Crops of up to
    `memory_bytes` decoded are kept in memory, more are streamed. Raises ValueError for values out of range.
    """

    preset: str = "compact"
    steps: int = 1500
    batch_photos: int = 32
    patches: int = 4
    learning_rate: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    seed: int = 0
    validation_every: int = 150
    validation_photos: int = 2048
    validation_patches: int = 16
    minutes: float | None = None
    threads: int = 2
    memory_bytes: int = 2**30

    def __post_init__(self) -> None:
        if min(self.steps, self.patches, self.validation_every, self.threads) < 1 or self.batch_photos < 2:
            raise ValueError("steps, patches, validation_every and threads are at least 1, batch_photos 2")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError("minutes is above 0, or None for no limit")
