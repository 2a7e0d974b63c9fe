"""What may happen to an image on its way, after its track: compression, resizing, blur, noise, cropping.

Here belong the perturbations by name, and the grids of them that are evaluated. Tracks are in `tracks`. Nothing is
recalibrated for a perturbed image.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.tracks import FORMAT_MATCHED

Pixels = npt.NDArray[np.uint8]

NONE = "none"
CHAIN = "+"
"""Joins the names of perturbations that follow each other."""

WHOLE_GRID = (
    NONE,
    *(f"jpeg_{quality}" for quality in (95, 90, 75, 60, 50, 30)),
    "webp_80",
    *(f"resize_{factor}" for factor in (0.25, 0.5, 0.75, 1.5, 2)),
    *(f"blur_{sigma}" for sigma in (0.5, 1, 2, 3)),
    *(f"noise_{deviation}" for deviation in (2, 5, 10)),
    "crop_0.75",
    "resize_0.5+jpeg_75",
)
"""The grid of the protocol, by name (docs/method.md, section 6)."""

DEFAULT_GRID = (NONE, "jpeg_95", "jpeg_75", "resize_0.5", "blur_1", "resize_0.5+jpeg_75")
"""What pictures meet on the web every day, the three published robustness tests among them."""

GRIDS = {NONE: (NONE,), "default": DEFAULT_GRID, "whole": WHOLE_GRID}


def conditions(grid: str, track: str) -> tuple[str, ...]:
    """The perturbations of a named grid on a track: the headline track has all; the others only with the whole grid."""
    return GRIDS[grid] if track == FORMAT_MATCHED or grid == "whole" else (NONE,)


def perturb(image: Pixels, name: str, image_id: str) -> Pixels:
    """An image (H, W, 3) after a perturbation, or after several joined by `+`.

    `jpeg_Q` (4:2:0) and `webp_Q` compress with quality Q and decode; `resize_F` scales both sides by F (Lanczos);
    `blur_S` is Gaussian of S px; `noise_D` adds normal noise of D grey levels, seeded by `image_id` (SHA-256), so that
    it is the same on every machine; `crop_F` keeps the central share F of both sides. ValueError for another name.
    """
    for step in () if name == NONE else name.split(CHAIN):
        kind, _, amount = step.partition("_")
        if kind not in _KINDS or not amount:
            raise ValueError(f"unknown perturbation {name!r}")
        image = _KINDS[kind](image, float(amount), image_id)
    return image


def _decoded(buffer: io.BytesIO, kind: str) -> Pixels:
    with Image.open(buffer, formats=(kind,)) as decoded:
        return np.array(decoded.convert("RGB"), dtype=np.uint8)


def _jpeg(image: Pixels, quality: float, image_id: str) -> Pixels:
    buffer = io.BytesIO()
    _picture(image).save(buffer, format="JPEG", quality=int(quality), subsampling="4:2:0")
    return _decoded(buffer, "JPEG")


def _webp(image: Pixels, quality: float, image_id: str) -> Pixels:
    buffer = io.BytesIO()
    _picture(image).save(buffer, format="WEBP", quality=int(quality))
    return _decoded(buffer, "WEBP")


def _resize(image: Pixels, factor: float, image_id: str) -> Pixels:
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return np.asarray(_picture(image).resize((width, height), Image.Resampling.LANCZOS))


def _blur(image: Pixels, sigma: float, image_id: str) -> Pixels:
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="nearest")
    return np.asarray(np.rint(blurred).clip(0, 255).astype(np.uint8))


def _noise(image: Pixels, deviation: float, image_id: str) -> Pixels:
    noise = np.random.default_rng(int(image_id[:16], 16)).normal(0, deviation, image.shape)
    return np.asarray(np.rint(image + noise).clip(0, 255).astype(np.uint8))


def _crop(image: Pixels, share: float, image_id: str) -> Pixels:
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _picture(image: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image))


_KINDS: dict[str, Callable[[Pixels, float, str], Pixels]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "resize": _resize,
    "blur": _blur,
    "noise": _noise,
    "crop": _crop,
}
