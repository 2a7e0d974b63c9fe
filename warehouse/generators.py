"""Generators: pictures of the simulated world that no camera took.

Here belongs how an image generator makes its pixels: a small grid, upsampled in steps, with detail made up on
the way. The scenes, their brightness and the strength of their finest detail are those of photographs, so that
neither content nor complexity gives a generator away; only the structure of the detail can. Cameras are in
`exposure`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from scipy import ndimage

from warehouse.exposure import Picture
from warehouse.scenes import Field, render_scene

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_EVALUATION_SIDE: Final = 256
_EVALUATION_QUALITY: Final = 90


@dataclass(frozen=True)
class Likeness:
    """What a generated picture shares with a photograph: its mean luma (0-255), the mean absolute residual
    of its luma as it is, and that after the centre has been cut out and compressed again."""

    luma: float
    residual: float
    residual_matched: float


def mean_absolute_residual(picture: Picture) -> float:
    """Return the mean absolute response of the luma of an RGB picture (H, W, 3) to the square 3 x 3 kernel.

    The kernel (Fridrich & Kodovsky 2012) is the second difference along both axes, over four.
    """
    luma = picture.astype(np.float32) @ _LUMA
    return float(np.abs(np.diff(np.diff(luma, 2, axis=0), 2, axis=1)).mean()) / 4


def recompress(picture: Picture) -> Picture:
    """Return the centre 256 x 256 of a picture after JPEG quality 90 with 4:2:0 chroma, decoded."""
    h, w, _ = picture.shape
    y, x = (h - _EVALUATION_SIDE) // 2, (w - _EVALUATION_SIDE) // 2
    centre = picture[y : y + _EVALUATION_SIDE, x : x + _EVALUATION_SIDE]
    return decoded(centre, {"quality": _EVALUATION_QUALITY, "subsampling": 2})


def decoded(picture: Picture, options: dict[str, object]) -> Picture:
    """Return a picture after Pillow's JPEG with `options`."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def likeness(picture: Picture) -> Likeness:
    """Measure what a generated picture must share with this decoded photograph."""
    luma = float((picture.astype(np.float32) @ _LUMA).mean())
    return Likeness(luma, mean_absolute_residual(picture), mean_absolute_residual(recompress(picture)))


def _resize(field: Field, height: int, width: int, method: Image.Resampling) -> Field:
    channels = [Image.fromarray(np.ascontiguousarray(field[..., k], np.float32)) for k in range(3)]
    return np.stack([np.asarray(c.resize((width, height), method), np.float32) for c in channels], axis=2)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], colourful: float) -> Field:
    """Draw noise that is the same in all colours but for the part `colourful`."""
    common = rng.standard_normal((*shape[:2], 1), dtype=np.float32)
    return np.asarray(common + colourful * rng.standard_normal(shape, dtype=np.float32), dtype=np.float32)


def _imagine(rng: np.random.Generator, grown: Field, texture: float, grain: float, colourful: float) -> Field:
    """Steepen edges and invent detail: texture where there is some already, and a little grain everywhere."""
    detail = grown - ndimage.gaussian_filter(grown, (1.5, 1.5, 0))
    busy = ndimage.gaussian_filter(np.abs(detail), (2.5, 2.5, 0))
    invented = (texture * busy + grain * (0.15 + grown)) * _noise(rng, grown.shape, colourful)
    return np.asarray(grown + 0.4 * detail + invented, dtype=np.float32)


def _transposed(rng: np.random.Generator, small: Field) -> Field:
    """Upsample twice by transposed convolution with stride 2, with invented detail at each resolution.

    The kernel's four phases do not weigh quite the same, as in trained networks: a faint checkerboard.
    """
    grown = _imagine(rng, small, 0.2, 0.02, 0.3)
    line = np.array([0.25, 0.75, 0.75, 0.25], np.float32) * (1 + rng.normal(0, 0.015, 4).astype(np.float32))
    for _ in range(2):
        for axis in (0, 1):
            sparse = np.zeros([2 * n if k == axis else n for k, n in enumerate(grown.shape)], np.float32)
            sparse[(slice(None),) * axis + (slice(0, None, 2),)] = grown
            grown = ndimage.convolve1d(sparse, line, axis=axis, mode="mirror", origin=-1)
        grown = _imagine(rng, grown, 0.2, 0.025, 0.3)
    return grown


def _bicubic(rng: np.random.Generator, small: Field) -> Field:
    """Upsample four times by cubic interpolation, in two steps that each invent detail."""
    h, w, _ = small.shape
    half = _imagine(rng, _resize(small, 2 * h, 2 * w, Image.Resampling.BICUBIC), 0.3, 0.04, 0.5)
    return _imagine(rng, _resize(half, 4 * h, 4 * w, Image.Resampling.BICUBIC), 0.1, 0.02, 0.5)


def _lanczos(rng: np.random.Generator, small: Field) -> Field:
    """Upsample eight times by Lanczos' filter; detail is invented once at half and once at full resolution."""
    h, w, _ = small.shape
    smaller = _resize(small, h // 2, w // 2, Image.Resampling.BOX)
    half = _imagine(rng, _resize(smaller, 2 * h, 2 * w, Image.Resampling.LANCZOS), 0.5, 0.04, 0.2)
    return _imagine(rng, _resize(half, 4 * h, 4 * w, Image.Resampling.LANCZOS), 0.2, 0.02, 0.2)


GENERATORS: Final[dict[str, Callable[[np.random.Generator, Field], Field]]] = {
    "transposed": _transposed,
    "bicubic": _bicubic,
    "lanczos": _lanczos,
}


def generate(
    rng: np.random.Generator, generator: str, height: int, width: int, target: Likeness
) -> tuple[Picture, dict[str, object]]:
    """Generate a picture (height, width, 3), sides divisible by 8, and the options that save it as JPEG.

    Its brightness and mean absolute residual are those of `target`, up to the noise of the search.
    """
    scene = render_scene(rng, height, width, magnification=float(np.exp(rng.uniform(-0.7, 1.2))))
    encoded = np.clip(scene.radiance, 0, 1) ** np.float32(1 / 2.2)
    # Generators learn from finished photographs: their contrast and colours are those.
    encoded = encoded - np.float32(0.05) * np.sin(2 * np.pi * encoded)
    grey = (encoded @ _LUMA)[..., None]
    encoded = grey + np.float32(1.15) * (encoded - grey)
    grown = GENERATORS[generator](rng, _resize(encoded, height // 4, width // 4, Image.Resampling.BOX))
    options: dict[str, object] = {"quality": int(rng.integers(88, 97)), "subsampling": int(rng.choice([0, 2]))}
    base = ndimage.gaussian_filter(grown, (1.5, 1.5, 0))
    detail = grown - base
    gain = np.float32(1.0)

    def finished(strength: float) -> Picture:
        mixed = (base + np.float32(strength) * detail) * gain
        return np.asarray(np.clip(np.rint(mixed * 255), 0, 255), dtype=np.uint8)

    for _ in range(3):
        short = target.luma / max(float((finished(1.0) @ _LUMA).mean()), 1.0)
        gain = np.clip(gain * np.float32(short), np.float32(0.1), np.float32(4))

    wanted = np.log(target.residual) + np.log(target.residual_matched)
    low, high = -4.0, 5.0
    for _ in range(7):
        middle = (low + high) / 2
        seen = decoded(finished(2**middle), options)
        reached = np.log(mean_absolute_residual(seen)) + np.log(mean_absolute_residual(recompress(seen)))
        low, high = (middle, high) if reached < wanted else (low, middle)
    return finished(2 ** ((low + high) / 2)), options
