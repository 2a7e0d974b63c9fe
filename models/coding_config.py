"""What training the network that predicts JPEG's coefficients is asked for. Light to import, as `train_config` is."""

from dataclasses import dataclass

from models.train_config import RunConfig


@dataclass(frozen=True)
class CodingConfig(RunConfig):
    """One training run: a step takes `batch` squares of `side` px, one of each photograph.

    At most `validation_photos` photographs of held-out sources are judged.
    """

    preset: str = "small"
    steps: int = 3000
    patches: int = 1
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    validation_every: int = 500
    validation_patches: int = 1
    validation_photos: int = 256
    patience: int = 0
    batch: int = 32
    side: int = 96
