"""What happens to a training image of the binary detector before patches are cut of it.

Here belong the three changes, their rates and their seeds; the pixels of blur and JPEG are those of `perturbations`.
Source: the published training of the binary detector (docs/method.md, section 5).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.backbone import PATCH
from models.perturbations import perturb

RESIZED, BLURRED, COMPRESSED = 0.3, 0.1, 0.25
"""Probabilities of the three changes, each on its own."""
SIDES = (PATCH, 128)
"""Least and greatest side of the square that an image is resized to, in px."""
QUALITIES = (90, 99)
"""Least and greatest quality of JPEG."""

_STREAM = 2
# No perturbation used here is seeded by its image.
_ANY_IMAGE = ""


def augment(image: npt.NDArray[np.uint8], seed: int, step: int, place: int) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) of at least 64 px on a side, as training sees it at a place of the batch of a step.

    With probability .3 resized to a random square of 64 to 128 px (bilinear), then with .1 blurred (Gaussian, sigma
    uniform in 0 to 1 px), then with .25 compressed as JPEG of quality 90 to 99 (4:2:0). The result is a function of
    image, seed, step and place.
    """
    rng = np.random.default_rng([seed, _STREAM, step, place])
    resized, blurred, compressed = rng.random(3) < (RESIZED, BLURRED, COMPRESSED)
    side = int(rng.integers(SIDES[0], SIDES[1], endpoint=True))
    sigma = rng.random()
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1], endpoint=True))
    if resized:
        square = Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BILINEAR)
        image = np.asarray(square)
    if blurred:
        image = perturb(image, f"blur_{sigma:.4f}", _ANY_IMAGE)
    if compressed:
        image = perturb(image, f"jpeg_{quality}", _ANY_IMAGE)
    return image
