"""A combined detector on noisy textures: one part that has learned no task, small enough to be made in a test."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.combined import CombinedDetector, calibrate
from models.mixture import CANDIDATES
from models.squares import squares
from tests.small_detector import untrained_part

_SIDE = 256
_FITTED, _CALIBRATED = 40, 30


def texture(rng: np.random.Generator, noise: float = 6) -> npt.NDArray[np.uint8]:
    """A smooth coloured texture of 256 px with sensor-like noise of a deviation."""
    small = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((_SIDE, _SIDE)).filter(ImageFilter.GaussianBlur(1)))
    return (smooth + rng.normal(scale=noise, size=smooth.shape)).clip(0, 255).round().astype(np.uint8)


def small_detector(seed: int = 0) -> CombinedDetector:
    """Fitted on 40 textures of 4 sources and calibrated on 30 others."""
    rng = np.random.default_rng(seed)
    seen = [squares(texture(rng)) for _ in range(_FITTED + _CALIBRATED)]
    part = untrained_part("untrained", seen[:_FITTED], CANDIDATES[0], seed)
    return calibrate([part], seen[_FITTED:], name="textures", sources=4)
