"""The binary detector as one that is measured beside all others: images in, log-odds out.

Here belong which patches it looks at and what its score is. Its network is in `binary`, its training in `binary_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from models.binary import BinaryNetwork
from models.description import centre
from models.detector import BenchmarkImage
from models.features import extract
from models.patches import all_patches
from models.weights import load_binary

IMAGES_AT_ONCE = 32
"""Images whose patches are held at once: 100 MB where each has 1024 x 1024 px."""


class BinaryDetector:
    """A binary network by name; `version` is the identity of the network.

    The score is the log-odds of generated, so 0 stands where the softmax is .5. The published protocol: token 0 over
    all non-overlapping patches (of the central 1024 x 1024 px at most, see `description`).
    """

    threshold = 0.0

    def __init__(self, name: str, version: str, network: BinaryNetwork) -> None:
        self.name, self.version = name, version
        self._own = network.own
        weight, bias = (p.detach().double().numpy() for p in network.classifier.parameters())
        self._direction, self._offset = weight[1] - weight[0], float(bias[1] - bias[0])

    @classmethod
    def load(cls, name: str, path: Path) -> Self:
        """The detector of a file of `save_binary`; its folder is named by its identity. WeightsError."""
        return cls(name, path.parent.name, load_binary(path))

    def score(self, images: Sequence[BenchmarkImage]) -> npt.NDArray[np.float64]:
        """Log-odds (n,) of generated."""
        scores = np.empty(len(images))
        for start in range(0, len(images), IMAGES_AT_ONCE):
            part = images[start : start + IMAGES_AT_ONCE]
            token0 = extract(self._own, [all_patches(centre(image.pixels)) for image in part]).token0
            scores[start : start + len(part)] = token0.astype(np.float64) @ self._direction + self._offset
        return scores
