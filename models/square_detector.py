"""The detectors in the box as ones that are measured beside all others: images in, scores of a part or of all out.

Here belongs that all names of one file share what is computed of an image. What they look at belongs to `parts`, how
parts become one score to `combined`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from models.combined import COMBINED, CombinedDetector, Examination
from models.detector import BenchmarkImage
from models.squares import Squares, squares

# Files whose last examination is kept: an image is shown to every name of each before the next one is.
_FILES = 8


class SquareDetector:
    """A part of a combined detector by its name, or all of them as `combined`; `version` is the identity of the file.

    The score is that of the image, by the part or by all; NaN where it has room for no square.
    """

    def __init__(self, name: str, version: str, detector: CombinedDetector) -> None:
        self.name, self.version = name, version
        self._detector = detector

    @classmethod
    def load(cls, name: str, path: Path) -> Self:
        """The detector of a file of `CombinedDetector`, whose folder is named by its identity.

        ValueError where it is no such file or has no part of that name.
        """
        detector = _loaded(path)
        if name not in detector.calibration.images:
            raise ValueError(f"no part {name} in it")
        return cls(name, path.parent.name, detector)

    def score(self, images: Sequence[BenchmarkImage]) -> npt.NDArray[np.float64]:
        """Scores (n,) of images."""
        return np.array([self._score(image) for image in images], dtype=np.float64)

    def _score(self, image: BenchmarkImage) -> float:
        said = _examined(self._detector, image)
        if said is None:
            return np.nan
        return said.score if self.name == COMBINED else said.part_scores[self.name]


@cache
def _loaded(path: Path) -> CombinedDetector:
    return CombinedDetector.from_bytes(path.read_bytes())


@lru_cache(maxsize=_FILES)
def _examined(detector: CombinedDetector, image: BenchmarkImage) -> Examination | None:
    """What a detector says of an image, both known by the object itself; None where there is no square."""
    seen = _seen(image)
    return detector.examine_squares(seen) if len(seen) else None


@lru_cache(maxsize=1)
def _seen(image: BenchmarkImage) -> Squares:
    return squares(image.pixels)
