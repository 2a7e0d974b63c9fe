"""What the header of an image file tells of the file: format, size, JPEG quality and chroma subsampling.

Nothing is decoded here. Metadata that cameras and programs write (EXIF, C2PA) does not belong here, nor does what the
pixels say.
"""

import hashlib
import io
import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from models.detector import FileFacts
from models.images import FORMATS

OTHER = "other"
# Sampling of the first component (horizontal, vertical) where the others have 1 x 1.
_SUBSAMPLING = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}

# ITU-T T.81, table K.1, in natural order: what libjpeg scales by quality.
_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ]
)


def file_facts(data: bytes) -> FileFacts:
    """The facts of a file's bytes, from its header alone.

    Where Pillow knows no image in it, format is empty and width and height are 0. Quality and subsampling are None for
    all but JPEG files (MPO among them), and for a JPEG whose header does not tell.
    """
    kind, (width, height), quality, subsampling = "", (0, 0), None, None
    # Odd headers and huge pictures are for whoever decodes to decide about.
    with warnings.catch_warnings(action="ignore"):
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                kind, (width, height) = image.format or "", image.size
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    quality, subsampling = _quality(image), _subsampling(image)
        except Exception:  # Pillow's format plug-ins raise whatever a broken header makes them stumble over
            pass
    return FileFacts(hashlib.sha256(data).hexdigest(), kind, width, height, len(data), quality, subsampling)


def jpeg_quality(luminance: npt.ArrayLike) -> int:
    """The quality 1..100 whose table, as libjpeg scales it, is nearest to a quantisation table (64,), natural order.

    Nearest is the smallest sum of absolute differences; of several equal ones the lowest quality.
    """
    differences = np.abs(_tables() - np.asarray(luminance, dtype=np.int64)).sum(axis=1)
    return int(differences.argmin()) + 1


@cache
def _tables() -> npt.NDArray[np.int64]:
    """The standard table at quality 1 to 100, (100, 64)."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_LUMINANCE * scale + 50) // 100).clip(1, 255)


def _quality(image: JpegImagePlugin.JpegImageFile) -> int | None:
    try:
        table = image.quantization[image.layer[0][3]]
    except (IndexError, KeyError):
        return None
    return jpeg_quality(table) if len(table) == len(_LUMINANCE) else None


def _subsampling(image: JpegImagePlugin.JpegImageFile) -> str | None:
    if not image.layer:
        return None
    (_, *luma, _), *chroma = image.layer
    if not chroma or any(sampling != (1, 1) for _, *rest, _ in chroma if (sampling := tuple(rest))):
        return OTHER
    return _SUBSAMPLING.get((luma[0], luma[1]), OTHER)
