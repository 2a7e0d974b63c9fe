"""Squares of a photograph beside reconstructions of them: what a discriminant on features is fitted on.

Here belongs which pairs are made of a photograph and by which seeds. How a pair is made belongs to `pseudo_fakes`, what
is learned of pairs to `discriminant`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from models.autoencoders import Autoencoder
from models.pseudo_fakes import square_pair
from models.reference_squares import region
from models.squares import SIDE
from models.views import MARGIN, resized

Image = npt.NDArray[np.uint8]

LEAST = SIDE + MARGIN
"""The least side of a photograph, in px."""
# Far from the numbers of the views, so that pairs are of other places and sizes.
_FIRST = 1000


def rebuilt_squares(
    image: Image, sha256: str, autoencoders: Sequence[Autoencoder], count: int
) -> Iterator[tuple[str, Image, Image]]:
    """Pairs of a photograph (H, W, 3): the make, a square (128, 128, 3) and its reconstruction; seeded by its SHA-256.

    Nothing where a side is under 144 px. Each is of another place and size of the photograph, and of one make.
    """
    if min(image.shape[:2]) < LEAST:
        return
    for number in range(_FIRST, _FIRST + count):
        rng = np.random.default_rng([int(sha256[:16], 16), number])
        view = resized(region(image, rng), rng, LEAST)
        top, left = (int(rng.integers(side - LEAST, endpoint=True)) for side in view.shape[:2])
        autoencoder = autoencoders[int(rng.integers(len(autoencoders)))]
        photograph, rebuilt = square_pair(view[top : top + LEAST, left : left + LEAST], autoencoder, rng)
        yield autoencoder.make.name, photograph, rebuilt
