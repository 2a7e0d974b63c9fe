"""Exposure: the way of light through a simulated camera, from the lens to the maker's JPEG.

The steps stand in their physical order: lens, shutter, sensor, demosaicing, noise reduction, colour and tone,
sharpening, compression. Each leaves a trace that depends on the settings in the picture's EXIF. Which settings
are chosen is in `cameras`; what is photographed is in `scenes`.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from warehouse.cameras import Body, Maker, Settings
from warehouse.scenes import Field, Scene, render_scene

Picture = NDArray[np.uint8]  # (H, W, 3), RGB

MARGIN: Final = 16
# Pixels a millimetre of the 35 mm frame: a picture is a small cut of a coarse sensor.
_PIXELS_PER_MM: Final = 20.0
_BLUR_STEPS: Final = (0.0, 1.2, 2.4, 4.8, 9.6)  # radii in pixels between which defocus is blended
# JPEG standard, annex K.1 and K.2, in rows.
_LUMA_TABLE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA_TABLE: Final = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    *(99,) * 38,
)  # fmt: skip
# Gradient-corrected interpolation (Malvar, He & Cutler 2004), eighths.
_GREEN: Final = np.array(
    [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]], np.float32
)
_SAME_ROW: Final = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]], np.float32
)
_DIAGONAL: Final = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]], np.float32
)


def _kernel(height: int, width: int, y: Field, x: Field) -> Field:
    """Rasterise points around the origin to a periodic kernel of sum 1."""
    kernel = np.zeros((height, width), np.float32)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    for dy, dx, part in ((0, 0, (1 - fy) * (1 - fx)), (0, 1, (1 - fy) * fx), (1, 0, fy * (1 - fx)), (1, 1, fy * fx)):
        np.add.at(kernel, ((y0 + dy) % height, (x0 + dx) % width), part)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _shake(rng: np.random.Generator, body: Body, settings: Settings) -> tuple[Field, Field]:
    """Walk the image across the sensor while the shutter is open: about a line, bent by tremor."""
    # Drift grows with the time, tremor with its square root: a hand is between the two.
    magnified = (settings.focal_length_35mm_mm / 50) ** 0.4
    length = min(body.shake * rng.lognormal(0, 0.2) * magnified * settings.exposure_time_s**0.65, 20.0)
    steps = 64
    turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.06, steps))
    y, x = np.cumsum(np.sin(turn)) * length / steps, np.cumsum(np.cos(turn)) * length / steps
    return (y - y.mean()).astype(np.float32), (x - x.mean()).astype(np.float32)


def through_lens(rng: np.random.Generator, scene: Scene, body: Body, settings: Settings) -> Field:
    """Return the light on the sensor, (H - 2 MARGIN, W - 2 MARGIN, 3): blurred, shaken and vignetted."""
    height, width = scene.distance.shape
    equivalent = settings.f_number * body.maker.crop_factor
    # Wide apertures are soft from aberrations, narrow ones from diffraction.
    softness = np.hypot(0.36, np.hypot(2.0 / settings.f_number, 0.012 * settings.f_number))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    transfer = np.exp(-2 * (np.pi * softness) ** 2 * (fx**2 + fy**2)).astype(np.float32)
    blurred = transfer * fft.rfft2(_kernel(height, width, *_shake(rng, body, settings)))
    spectrum = fft.rfft2(scene.radiance, axes=(0, 1)) * blurred[..., None]

    focal = float(settings.focal_length_35mm_mm)
    subject_m = (focal / 50) ** 1.5 * rng.lognormal(0.6, 0.3)
    confusion_mm = focal**2 / (1000 * equivalent * subject_m) * np.abs(1 - 1 / scene.distance)
    confusion = ndimage.gaussian_filter(confusion_mm, 1.5) * _PIXELS_PER_MM / 2
    radii = np.clip(confusion, 0, _BLUR_STEPS[-1]).astype(np.float32)
    light = np.zeros_like(scene.radiance)
    y, x = np.mgrid[-12:13, -12:13].astype(np.float32) / 12
    inside = np.hypot(y, x) <= 1
    for index, radius in enumerate(_BLUR_STEPS):
        weight = np.interp(radii, _BLUR_STEPS, np.eye(len(_BLUR_STEPS))[index]).astype(np.float32)
        if weight.any():
            disc = fft.rfft2(_kernel(height, width, y[inside] * radius, x[inside] * radius))
            light += weight[..., None] * fft.irfft2(spectrum * disc[..., None], s=(height, width), axes=(0, 1))
    cut = np.maximum(light[MARGIN:-MARGIN, MARGIN:-MARGIN], np.float32(1e-5))
    h, w, _ = cut.shape
    radius2 = ((np.arange(h) - h / 2) ** 2)[:, None] + ((np.arange(w) - w / 2) ** 2)[None, :]
    tangent2 = radius2 / (h**2 / 4 + w**2 / 4) * (21.6 / focal) ** 2
    vignetting = (1 + tangent2) ** (1 + 1 / settings.f_number)
    return np.asarray(cut / vignetting[..., None], dtype=np.float32)


def _lit(rng: np.random.Generator, scene: Scene, settings: Settings) -> Scene:
    """Add the flash, which falls off with the square of the distance, and set the exposure."""
    fired = settings.flash & 1
    flash = 0.4 + 1.2 / np.maximum(scene.distance, 0.5) ** 2 if fired else np.ones_like(scene.distance)
    exposure = 2 ** (settings.exposure_bias_ev + rng.normal(0, 0.25))
    return Scene(np.asarray(scene.radiance * (flash * exposure)[..., None], np.float32), scene.distance)


def on_sensor(rng: np.random.Generator, light: Field, body: Body, settings: Settings, cast: Field) -> Field:
    """Expose the Bayer sensor (RGGB) and return its raw values (H, W), 0 to 1 (saturation).

    Photons arrive by Poisson's law, and the higher the ISO the fewer make white; amplifier noise, fixed
    pattern and 12-bit rounding follow. `cast` is the colour of the illuminant times the sensor's response.
    """
    h, w, _ = light.shape
    raw = np.empty((h, w), np.float32)
    raw[0::2, 0::2] = light[0::2, 0::2, 0] * cast[0]
    raw[0::2, 1::2] = light[0::2, 1::2, 1] * cast[1]
    raw[1::2, 0::2] = light[1::2, 0::2, 1] * cast[1]
    raw[1::2, 1::2] = light[1::2, 1::2, 2] * cast[2]
    pattern = np.random.default_rng(body.pattern_seed).standard_normal((640, 640), dtype=np.float32)
    raw *= 1 + np.float32(0.008) * pattern[:h, :w]
    white = body.full_well * 100 / settings.iso
    electrons = rng.poisson(np.minimum(raw, 4) * white).astype(np.float32)
    electrons += np.float32(body.read_noise) * rng.standard_normal((h, w), dtype=np.float32)
    electrons += np.float32(0.3 * body.read_noise) * rng.standard_normal((h, 1), dtype=np.float32)
    levels = np.round(electrons / np.float32(white) * 4095 + rng.normal(0, 1.5, (h, w)).astype(np.float32))
    return np.asarray(np.clip(levels / 4095, 0, 1), dtype=np.float32)


def demosaic(raw: Field, method: int) -> Field:
    """Interpolate the missing colours of an RGGB mosaic (H, W) to (H, W, 3): 0 bilinear, 1 gradient-corrected."""
    h, w = raw.shape
    picture = np.empty((h, w, 3), np.float32)
    if method == 0:
        cross = np.array([[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]], np.float32)
        full = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]], np.float32)
        for channel, sites, kernel in ((0, ((0, 0),), full), (1, ((0, 1), (1, 0)), cross), (2, ((1, 1),), full)):
            sparse = np.zeros((h, w), np.float32)
            for r, c in sites:
                sparse[r::2, c::2] = raw[r::2, c::2]
            picture[..., channel] = ndimage.convolve(sparse, kernel, mode="mirror")
        return picture
    green, row, column, diagonal = (
        ndimage.convolve(raw, kernel / 8, mode="mirror") for kernel in (_GREEN, _SAME_ROW, _SAME_ROW.T, _DIAGONAL)
    )
    red, blue, g = picture[..., 0], picture[..., 2], picture[..., 1]
    g[:] = raw
    g[0::2, 0::2], g[1::2, 1::2] = green[0::2, 0::2], green[1::2, 1::2]
    red[0::2, 0::2], red[1::2, 1::2] = raw[0::2, 0::2], diagonal[1::2, 1::2]
    red[0::2, 1::2], red[1::2, 0::2] = row[0::2, 1::2], column[1::2, 0::2]
    blue[1::2, 1::2], blue[0::2, 0::2] = raw[1::2, 1::2], diagonal[0::2, 0::2]
    blue[1::2, 0::2], blue[0::2, 1::2] = row[1::2, 0::2], column[0::2, 1::2]
    return np.clip(picture, 0, 1)


def _develop(linear: Field, body: Body, settings: Settings) -> Picture:
    """Make the picture the maker likes: tone, colour, noise reduction, sharpening, 8 bits."""
    maker = body.maker
    encoded = np.clip(linear, 0, 1) ** np.float32(1 / 2.2)
    curved = encoded - np.float32(0.1 * maker.contrast) * np.sin(2 * np.pi * encoded) / 2
    luma = curved @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = curved - luma[..., None]
    # The makers' strength follows the noise they expect from the ISO in use, not the noise there is.
    expected = np.float32(np.sqrt(settings.iso / (100 * 12000 * 0.18)) * 0.2)
    smooth = ndimage.gaussian_filter(luma, 1.0)
    detail = luma - smooth
    threshold = maker.denoise * expected
    luma = smooth + detail - np.clip(detail, -threshold, threshold) * np.float32(0.7)
    width = float(0.6 + maker.denoise * np.log2(settings.iso / 50) / 2)
    chroma = np.stack([ndimage.gaussian_filter(chroma[..., k], width) for k in range(3)], axis=2)
    vivid = 1.15 if settings.scene_capture_type == 1 else 1.0
    amount, radius = maker.sharpen
    amount *= 0.6 if settings.scene_capture_type == 2 else 1.0
    luma = luma + np.float32(amount) * (luma - ndimage.gaussian_filter(luma, radius))
    finished = luma[..., None] + np.float32(maker.saturation * vivid) * chroma
    return np.asarray(np.clip(np.rint(finished * 255), 0, 255), dtype=np.uint8)


def quantisation_tables(maker: Maker) -> list[list[int]]:
    """Return the maker's luma and chroma tables, 64 steps each in row order."""
    tilt, quality, _ = maker.jpeg
    scale = (200 - 2 * quality) / 100
    tables = (np.array(table) for table in (_LUMA_TABLE, _CHROMA_TABLE))
    return [np.clip(np.rint((table / 16.0) ** tilt * 16 * scale), 1, 255).astype(int).tolist() for table in tables]


def photograph(
    rng: np.random.Generator, body: Body, settings: Settings, height: int, width: int
) -> tuple[Picture, dict[str, object]]:
    """Take one photograph: (height, width, 3), even sides, and the options that save it as the maker would."""
    shape = (height + 2 * MARGIN, width + 2 * MARGIN)
    magnification = settings.focal_length_35mm_mm / 50
    scene = render_scene(rng, *shape, magnification=magnification, lamps=settings.brightness_ev < 1.5)
    light = through_lens(rng, _lit(rng, scene, settings), body, settings)
    warmth = float(rng.uniform(-0.3, 0.5) if settings.brightness_ev < 3 else rng.uniform(-0.1, 0.15))
    response = np.array([body.response[0] * 2**warmth, 1, body.response[1] * 2**-warmth], np.float32)
    # Automatic white balance leaves part of the cast, a manual one misses by chance.
    miss = rng.normal(0, 0.12) if settings.white_balance else 0.2 * warmth
    balance = np.array([2**miss, 1, 2**-miss], np.float32) / response
    raw = on_sensor(rng, light, body, settings, response)
    balanced = np.minimum(demosaic(raw, body.maker.demosaic) * balance, 1)
    picture = _develop(balanced, body, settings)
    return picture, {"qtables": quantisation_tables(body.maker), "subsampling": body.maker.jpeg[2]}


def jpeg(picture: Picture, options: dict[str, object], exif: bytes) -> bytes:
    """Compress an RGB picture (H, W, 3) with Pillow's JPEG `options`."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", exif=exif, **options)
    return buffer.getvalue()
