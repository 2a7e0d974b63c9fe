"""The tracks: what every image, photograph or generated, passes before it is scored.

What belongs here: the chains of the evaluation protocol. What does not: perturbations, which come after a
track, and decoding, which comes before.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

AS_SHIPPED = "as_shipped"
FORMAT_MATCHED = "format_matched"
IN_THE_WILD = "in_the_wild"
"""As shipped, of a set collected from the open web: reported apart."""
TRACKS = (AS_SHIPPED, FORMAT_MATCHED)
"""What detectors are fitted and calibrated on."""


def tracks_of(wild: bool) -> tuple[str, ...]:
    """The tracks that the images of a benchmark set go through."""
    return (IN_THE_WILD if wild else AS_SHIPPED, FORMAT_MATCHED)


def calibrated_as(track: str) -> str:
    """The track whose fit and calibration judge images of a track: nothing is calibrated in the wild."""
    return AS_SHIPPED if track == IN_THE_WILD else track


MATCHED_SIDE = 256
MATCHED_QUALITY = 90
SMALLER_THAN_256 = "smaller_than_256"


@dataclass(frozen=True)
class TrackedImage:
    """An image after its track, (H, W, 3), or None with the reason it is not scored there."""

    image: npt.NDArray[np.uint8] | None
    reason: str | None


def apply_track(image: npt.NDArray[np.uint8], track: str) -> TrackedImage:
    """Put an image (H, W, 3) through a track (docs/method.md, section 6).

    `as_shipped` and `in_the_wild` leave it alone. `format_matched` takes the central 256 x 256 at native resolution
    through JPEG of quality 90 with 4:2:0 chroma; an image smaller than that on a side is not scored, with the reason
    `smaller_than_256`. Raises `ValueError` for another track.
    """
    if track in (AS_SHIPPED, IN_THE_WILD):
        return TrackedImage(image, None)
    if track == FORMAT_MATCHED:
        if min(image.shape[:2]) < MATCHED_SIDE:
            return TrackedImage(None, SMALLER_THAN_256)
        return TrackedImage(through_jpeg(_central_square(image, MATCHED_SIDE)), None)
    raise ValueError(f"unknown track {track!r}; there are {', '.join((*TRACKS, IN_THE_WILD))}")


def _central_square(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    top = (image.shape[0] - side) // 2
    left = (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def through_jpeg(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) after JPEG of quality 90 with 4:2:0 chroma."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        buffer, format="JPEG", quality=MATCHED_QUALITY, subsampling="4:2:0"
    )
    with Image.open(buffer, formats=("JPEG",)) as decoded:
        return np.array(decoded.convert("RGB"), dtype=np.uint8)
