"""Cameras: makers, bodies and the settings a photographer chooses.

Here belongs what is decided before the shutter opens: which bodies exist, what their lenses and sensors can do,
and an exposure that fits the brightness of the scene (APEX: Av + Tv = Bv + Sv - bias). What then happens to the
light is in `exposure`; how the settings are written into a file is in `simulated_exif`. All makers are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

F_NUMBERS: Final = (1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.5, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0, 10.0, 11.0,
                    13.0, 14.0, 16.0)  # fmt: skip
SPEEDS: Final = (100, 125, 160, 200, 250, 320, 400, 500, 640, 800, 1000, 1250, 1600, 2000, 2500, 3200, 4000, 5000,
                 6400, 8000, 10000, 12800)  # fmt: skip
# Reciprocals of the exposure times, 1/4000 s to 1/4 s.
RECIPROCALS: Final = (4, 5, 6, 8, 10, 13, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640,
                      800, 1000, 1250, 1600, 2000, 2500, 3200, 4000)  # fmt: skip


@dataclass(frozen=True)
class Maker:
    """A maker's habits, which every body of the make shares.

    `make` is written into files as it stands. `demosaic` is 0 (bilinear) or 1 (gradient-corrected); `denoise`
    is the part of the expected noise taken off; `sharpen` is amount and radius in pixels; `contrast` the
    strength of the tone curve; `saturation` that of the colours. `jpeg` is the exponent that tilts the
    standard quantisation tables towards fine (< 1) or coarse high frequencies, the quality on libjpeg's scale,
    and the chroma subsampling (0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0).
    """

    make: str
    models: tuple[str, ...]
    crop_factor: float
    focal_35_mm: tuple[float, float]
    widest_f_number: float
    narrowest_f_number: float
    demosaic: int
    denoise: float
    sharpen: tuple[float, float]
    contrast: float
    saturation: float
    jpeg: tuple[float, int, int]


# The last model of each maker is kept for benchmarks: no photographer of the corpus owns one.
MAKERS: Final = (
    Maker("AURORA OPTICAL CORPORATION", ("AURORA OPTICAL A10", "AURORA OPTICAL A70", "AURORA OPTICAL A7000"),
          1.5, (18, 300), 1.8, 16, 1, 0.35, (0.55, 1.0), 1.0, 1.15, (1.0, 93, 1)),
    Maker("Halden", ("Halden H1", "Halden H1 Mark II", "Halden H3"),
          1.0, (20, 200), 1.4, 16, 1, 0.20, (0.25, 0.7), 0.8, 1.05, (0.8, 95, 0)),
    Maker("KESTREL IMAGING CORP.  ", ("KX-50 ", "KX-90 ", "KX-100 "),
          2.0, (24, 300), 1.8, 16, 0, 0.45, (0.9, 1.3), 1.2, 1.25, (1.0, 90, 2)),
    Maker("MINATO SEIKI CO., LTD.\0", ("MINATO M5\0", "MINATO M8\0", "MINATO M9\0"),
          1.5, (18, 250), 1.4, 16, 1, 0.30, (0.5, 1.6), 1.1, 1.1, (1.25, 94, 1)),
    Maker("Orbis", ("Orbis Compact 2", "Orbis Compact 3", "Orbis Travel 7"),
          2.7, (24, 200), 1.8, 8, 0, 0.60, (1.1, 0.8), 1.3, 1.3, (1.1, 88, 2)),
    Maker("VELTA", ("VELTA V-100", "VELTA V-200", "VELTA V-300"),
          1.0, (24, 400), 1.4, 16, 1, 0.25, (0.7, 0.6), 0.9, 1.0, (0.9, 96, 2)),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """One camera: its model and what differs from piece to piece.

    `full_well` is the photo-electrons of a white pixel at ISO 100, `read_noise` electrons, `response` the
    sensor's red and blue sensitivity against green, `pattern_seed` draws its fixed pattern, `shake` is the
    owner's hand in pixels of a one-second exposure at 50 mm.
    """

    maker: Maker
    model: str
    full_well: float
    read_noise: float
    response: tuple[float, float]
    pattern_seed: int
    shake: float


@dataclass(frozen=True)
class Settings:
    """What the camera wrote down about one photograph, true to what it did.

    Exposure time in seconds, focal lengths in mm, exposure bias and scene brightness in EV (APEX). The codes
    of flash, metering, exposure mode and program, white balance and scene type are EXIF's.
    """

    f_number: float
    exposure_time_s: float
    iso: int
    focal_length_mm: float
    focal_length_35mm_mm: int
    exposure_bias_ev: float
    brightness_ev: float
    flash: int
    metering_mode: int
    exposure_mode: int
    exposure_program: int
    white_balance: int
    scene_capture_type: int


def draw_body(rng: np.random.Generator, maker: Maker, *, benchmark: bool) -> Body:
    """Draw a camera of a maker: one of the corpus' models, or with `benchmark` the one the corpus never has."""
    model = maker.models[-1] if benchmark else maker.models[rng.integers(len(maker.models) - 1)]
    # A newer model of the same maker has a better sensor.
    full_well = (12000, 15000, 14000)[maker.models.index(model)] * rng.lognormal(0, 0.08)
    response = (float(rng.uniform(0.45, 0.6)), float(rng.uniform(0.55, 0.75)))
    return Body(
        maker, model, full_well, rng.uniform(2, 4), response, int(rng.integers(2**31)), 42 * rng.lognormal(0, 0.15)
    )


def _nearest(values: tuple[float, ...], wanted: float) -> float:
    logs = np.log2(values)
    return float(values[int(np.argmin(np.abs(logs - np.log2(wanted))))])


def draw_settings(rng: np.random.Generator, body: Body, *, night_owl: float) -> Settings:
    """Draw the settings of one photograph as photographers and metering choose them.

    `night_owl` is the part of this photographer's pictures taken after dark. Brightness limits the rest, so
    ISO, time and F-number are correlated as in life, but each varies at every brightness.
    """
    maker = body.maker
    focal_35 = round(float(np.exp(rng.uniform(*np.log(maker.focal_35_mm)))))
    bias = float(rng.choice([0.0, 0.0, 0.0, 0.0, -1.0, -2 / 3, -1 / 3, 1 / 3, 2 / 3, 1.0]))
    while True:
        kind = rng.choice(3, p=[night_owl, 0.35, 0.65 - night_owl])
        brightness = float(np.clip(rng.normal((-1.0, 2.5, 6.5)[kind], (1.2, 1.5, 1.8)[kind]), -4, 11))
        # Long zooms open less wide.
        widest = maker.widest_f_number * max(1.0, (focal_35 / 85) ** 0.5)
        f_number = _nearest(F_NUMBERS, np.exp(rng.uniform(np.log(widest), np.log(maker.narrowest_f_number))))
        av = 2 * np.log2(f_number)
        slack = brightness - av - bias
        low, high = max(5.0, 2.0 - slack), min(12.0, 12.0 - slack)
        if low <= high:
            break
    sv = low + (high - low) * rng.beta(4.0, 4.4)
    iso = int(_nearest(SPEEDS, 3.125 * 2**sv))
    reciprocal = _nearest(RECIPROCALS, 2 ** float(np.clip(slack + np.log2(iso / 3.125), 2, 12)))
    metered = av + np.log2(reciprocal) - np.log2(iso / 3.125) + bias
    flash_fired = metered < 2 and rng.random() < 0.35
    manual = rng.random() < 0.2
    return Settings(
        f_number=f_number,
        exposure_time_s=1 / reciprocal,
        iso=iso,
        focal_length_mm=round(focal_35 / maker.crop_factor, 1),
        focal_length_35mm_mm=focal_35,
        exposure_bias_ev=bias,
        brightness_ev=round(float(metered + rng.normal(0, 0.1)), 2),
        flash=(25 if rng.random() < 0.5 else 9) if flash_fired else int(rng.choice([16, 24, 0], p=[0.5, 0.3, 0.2])),
        metering_mode=int(rng.choice([5, 2, 3, 1], p=[0.6, 0.2, 0.15, 0.05])),
        exposure_mode=1 if manual else int(rng.choice([0, 2], p=[0.93, 0.07])),
        exposure_program=1 if manual else int(rng.choice([2, 3, 4], p=[0.4, 0.4, 0.2])),
        white_balance=int(rng.random() < 0.25),
        scene_capture_type=3 if metered < 0 else int(rng.choice([0, 1, 2], p=[0.7, 0.18, 0.12])),
    )
