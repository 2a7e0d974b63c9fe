"""How busy an image is: the mean absolute residual of its luma.

What belongs here: the one number that a detector without any knowledge of cameras can see, so that the other
detectors can be compared with it. What does not: its calibration (`one_class`) and the network's residuals
(`residuals`).
"""

import numpy as np
import numpy.typing as npt

# Strips of this many rows bound the memory of large images.
_STRIP_ROWS = 256


def complexity(image: npt.NDArray[np.uint8]) -> float:
    """Mean of |SQ3 * Y| of an image (H, W, 3), in units of 0..255 luma, over the pixels with all neighbours.

    Y = .299R + .587G + .114B; SQ3 = [-1 2 -1; 2 -4 2; -1 2 -1] / 4 (docs/method.md, section 4). Used as a
    detector's score as it is: higher = busier = more likely generated. The direction is fixed beforehand and
    tells nothing in itself; below .5 AUROC means that the photographs are the busier ones.

    Raises `ValueError` for an image of fewer than 3 px on a side.
    """
    height, width = image.shape[:2]
    if min(height, width) < 3:
        raise ValueError(f"complexity needs at least 3 x 3 pixels, not {width} x {height}")
    total = 0
    for top in range(0, height - 2, _STRIP_ROWS):
        strip = image[top : top + _STRIP_ROWS + 2].astype(np.int32)
        # Luma in thousandths keeps the arithmetic in integers: the result is the same on every machine.
        luma = 299 * strip[..., 0] + 587 * strip[..., 1] + 114 * strip[..., 2]
        # SQ3 is, up to sign, the outer product of two second differences.
        total += int(np.abs(np.diff(np.diff(luma, 2, axis=0), 2, axis=1)).sum(dtype=np.int64))
    return float(total / (4000 * (height - 2) * (width - 2)))
