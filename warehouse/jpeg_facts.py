"""What a JPEG's header tells of how it was compressed: the quality of its tables and its chroma subsampling.

Pure functions of an opened Pillow image, whose pixels need not be decoded. What these facts give away about a set
belongs to the detectors that look at them.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

# Luminance quantisation of ITU-T T.81, table K.1, by rows: what libjpeg (IJG) scales by quality.
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()
_LARGEST = 255


def _standard(quality: int) -> npt.NDArray[np.int64]:
    """libjpeg's luma table of a quality, 64 steps by rows."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps: npt.NDArray[np.int64] = np.clip((_LUMA * scale + 50) // 100, 1, _LARGEST)
    return steps


_STANDARD = np.log(np.stack([_standard(quality) for quality in range(1, 101)]))


def jpeg_quality(image: Image.Image) -> int | None:
    """Quality of a JPEG's luma table, 1-100: the one whose standard table is nearest, by ratio of the steps.

    Exact for files of libjpeg; for the own tables of cameras and editors the nearest there is. None for other formats,
    and where there is no such table.
    """
    if not isinstance(image, JpegImageFile):
        return None
    components = image.layer
    table = image.quantization.get(components[0][3] if components else 0, [])
    if len(table) != len(_LUMA):
        return None
    steps = np.log(np.clip(np.asarray(table, dtype=np.float64), 1, _LARGEST))
    return int(np.abs(_STANDARD - steps).sum(axis=1).argmin()) + 1


def chroma_subsampling(image: Image.Image) -> str | None:
    """Chroma subsampling of a JPEG: 4:4:4, 4:2:2 or 4:2:0; `other` also without chroma; None for other formats."""
    if not isinstance(image, JpegImageFile):
        return None
    if len(image.layer) != 3:
        return "other"
    (_, wide, high, _), *chroma = image.layer
    known = {(1.0, 1.0): "4:4:4", (2.0, 1.0): "4:2:2", (2.0, 2.0): "4:2:0"}
    ratios = {(wide / w, high / h) if w and h else (0.0, 0.0) for _, w, h, _ in chroma}
    return known.get(ratios.pop(), "other") if len(ratios) == 1 else "other"
