"""What the detectors see of an image: complexity, content and features of its patches, on a track.

Putting an image through a track, cutting its patches by the fixed rules and collecting the features belong here. The
network is in `backbone.py`, what the features say in `one_class.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.backbone import Backbone
from models.complexity import complexity
from models.content import covariates
from models.features import extract
from models.patches import MIN_PATCHES, all_patches, spread_patches
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
    """Of one image on one track: complexity in grey levels, number of patches, features (D,) of each backbone.

    `covariates` (33,) and `token_mean` are over up to 16 patches spread over the image; `token0` follows the published
    protocol and is there where it was asked for. Where the image cannot be judged, `reason` says why and nothing else
    is there.
    """

    reason: str | None
    complexity: float | None = None
    patches: int | None = None
    covariates: Vector | None = None
    token_mean: tuple[Vector, ...] = ()
    token0: Vector | None = None


@dataclass(frozen=True)
class Given:
    """An image (H, W, 3) and the SHA-256 of its file, which seeds what is random about a perturbation."""

    sha256: str
    pixels: Image


def describe(
    images: Sequence[Given], track: str, backbones: Sequence[Backbone], perturbation: str = NONE, token0: bool = False
) -> list[Description]:
    """Descriptions of images on a track and after a perturbation, in order; with `token0`, by the first backbone."""
    found: list[Description] = [Description(None)] * len(images)
    judged: list[int] = []
    spread: list[Image] = []
    published: list[Image] = []
    for index, image in enumerate(images):
        tracked = apply_track(image.pixels, track)
        if tracked.image is None:
            found[index] = Description(tracked.reason)
            continue
        seen = perturb(tracked.image, perturbation, image.sha256)
        patches = spread_patches(seen)
        if len(patches) < MIN_PATCHES:
            found[index] = Description(TOO_FEW_PATCHES)
            continue
        judged.append(index)
        spread.append(patches)
        if token0:
            published.append(all_patches(centre(seen)))
        found[index] = Description(None, complexity(seen), len(patches), covariates(patches))
    if not judged:
        return found
    features = [extract(backbone, spread) for backbone in backbones]
    same = all(np.array_equal(a, b) for a, b in zip(spread, published, strict=False))
    first = None if not token0 else features[0].token0 if same else extract(backbones[0], published).token0
    for row, index in enumerate(judged):
        means = tuple(f.token_mean[row] for f in features)
        found[index] = replace(found[index], token_mean=means, token0=None if first is None else first[row])
    return found


def centre(image: Image) -> Image:
    """The central part of at most `PUBLISHED_SIDE` px on each side."""
    height, width = (min(side, PUBLISHED_SIDE) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
