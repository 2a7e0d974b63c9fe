"""What the companions see of an image: its complexity and the published protocol's features, on a track.

Putting an image through a track, cutting its patches by the fixed rules and collecting the features belong here. The
network is in `backbone.py`, what the features say in `one_class.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.backbone import Backbone
from models.complexity import complexity
from models.features import extract
from models.patches import MIN_PATCHES, all_patches, spread_places
from models.perturbations import NONE, perturb
from models.tracks import apply_track

TOO_FEW_PATCHES = "fewer_than_4_patches"
# The published protocol takes all patches of pictures of some 500 px. Beyond this side only the centre is taken, or
# one photograph of a camera would cost as much as a hundred of the benchmark.
PUBLISHED_SIDE = 1024

Image = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Description:
    """Of one image on one track: complexity in grey levels, and token 0 (D,) as the published protocol has it.

    Where the image cannot be judged, `reason` says why and nothing else is there.
    """

    reason: str | None
    complexity: float | None = None
    token0: Vector | None = None


@dataclass(frozen=True)
class Given:
    """An image (H, W, 3) and the SHA-256 of its file, which seeds what is random about a perturbation."""

    sha256: str
    pixels: Image


def describe(images: Sequence[Given], track: str, backbone: Backbone, perturbation: str = NONE) -> list[Description]:
    """Descriptions of images on a track and after a perturbation, in order."""
    found: list[Description] = [Description(None)] * len(images)
    judged: list[int] = []
    patches: list[Image] = []
    for index, image in enumerate(images):
        tracked = apply_track(image.pixels, track)
        if tracked.image is None:
            found[index] = Description(tracked.reason)
            continue
        seen = perturb(tracked.image, perturbation, image.sha256)
        if len(spread_places(seen.shape[0], seen.shape[1], MIN_PATCHES)) < MIN_PATCHES:
            found[index] = Description(TOO_FEW_PATCHES)
            continue
        judged.append(index)
        patches.append(all_patches(centre(seen)))
        found[index] = Description(None, complexity(seen))
    for index, token0 in zip(judged, extract(backbone, patches).token0, strict=True):
        found[index] = replace(found[index], token0=token0)
    return found


def centre(image: Image) -> Image:
    """The central part of at most `PUBLISHED_SIDE` px on each side."""
    height, width = (min(side, PUBLISHED_SIDE) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
