"""The interface of a detector: what it is given of an image, and what it answers.

Whoever wants to be measured beside ours writes a class with these three members and names it in `sdaie.toml`. What an
image is put through before (tracks, perturbations) and how scores are calibrated and measured belong elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class FileFacts:
    """The original file, whatever its pixels went through since.

    `image_id` is the SHA-256 of its bytes, `format` what Pillow calls it, `width` and `height` its stored size in px.
    `jpeg_quality` (1-100, as libjpeg counts) and `chroma_subsampling` (4:4:4, 4:2:2, 4:2:0, other) are None where the
    file is no JPEG.
    """

    image_id: str
    format: str
    width: int
    height: int
    size_bytes: int
    jpeg_quality: int | None
    chroma_subsampling: str | None


@dataclass(frozen=True, eq=False)
class BenchmarkImage:
    """Pixels (H, W, 3), uint8 RGB, after their track and perturbation, and the facts of the original file."""

    pixels: npt.NDArray[np.uint8]
    facts: FileFacts
    track: str
    perturbation: str


class Detector(Protocol):
    """What is measured. It is made without arguments, once a process, and must give the same scores every time.

    In the benchmark it is asked for one image at a time, so that no score can depend on what stands beside it.

    `version` moves when scores do; scores are kept by it. A class may also have `threshold`: scores above it say
    "generated" and count as its own verdict. Without it, calibration photographs set the threshold.
    """

    name: str
    version: str

    def score(self, images: Sequence[BenchmarkImage]) -> npt.NDArray[np.float64]:
        """Scores (n,) of images, of different sizes: higher = more likely generated; NaN = cannot tell."""
        ...
