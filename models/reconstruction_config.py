"""What training autoencoders and the network that tells their work is asked for. Light to import, as `train_config` is.

The fields and their defaults, each chosen on two processor cores, belong here; what they do is in `autoencoder_run` and
`reconstruction_run`.
"""

from dataclasses import dataclass

from models.train_config import RunConfig


@dataclass(frozen=True)
class AutoencoderConfig(RunConfig):
    """One training run of all autoencoders: step k trains the k-th make, round and round, on `batch` views.

    Each photograph gives one view of `side` px. `texture` weighs the local energy of fine structure beside the absolute
    error, `adversarial` what an adversary says.
    """

    preset: str = "small"
    steps: int = 2700
    patches: int = 1
    validation_every: int = 675
    validation_patches: int = 1
    validation_photos: int = 64
    patience: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    batch: int = 16
    side: int = 64
    texture: float = 0.1
    adversarial: float = 0.03


@dataclass(frozen=True)
class ReconstructionConfig(RunConfig):
    """One training run of a network that tells photographs from their reconstructions.

    A step takes `pairs` of both, of `side` px. At most `validation_photos` photographs of held-out sources are judged,
    beside reconstructions of held-out makes.
    """

    preset: str = "small"
    steps: int = 2500
    patches: int = 1
    validation_every: int = 500
    validation_patches: int = 1
    validation_photos: int = 256
    patience: int = 0
    weight_decay: float = 0.01
    pairs: int = 16
    side: int = 96
