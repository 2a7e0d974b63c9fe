"""EXIF of simulated pictures: settings written into IFD0 and ExifIFD as camera makers do, flaws included.

Here belongs what stands in the file beside the pixels. Life's flaws are part of it: tags left out, F-number
0/0 of manual lenses, ISO 65535, metering 0, an unknown 35 mm equivalent, padded strings; and wrong ones: an aperture
that contradicts the F-number, a focal length of 0, a clock never set. The settings themselves come from `cameras`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from warehouse.cameras import Body, Settings

SIMULATOR_SOFTWARE: Final = "sdaie simulator 1"

_EXIF_IFD: Final = 0x8769
# Tags a camera may leave out: optional in EXIF 2.32, or plainly missing in old models.
_OPTIONAL: Final = (0x9203, 0xA405, 0x9202, 0x9201, 0x8822, 0x9204, 0xA406, 0xA402)


def _rational(value: float) -> IFDRational:
    fraction = Fraction(value).limit_denominator(10000)
    return IFDRational(fraction.numerator, fraction.denominator)


def camera_exif(rng: np.random.Generator, body: Body, settings: Settings, height: int, width: int) -> bytes:
    """Return the EXIF block of one photograph: IFD0 and ExifIFD (EXIF 2.32, tag ids as there).

    Pillow writes the signed tags (0x9201, 0x9203, 0x9204) as unsigned rationals unless they are negative.
    """
    exif = Image.Exif()
    exif[0x010F] = body.maker.make
    exif[0x0110] = body.model
    exif[0x0112] = 1
    exif[0x011A] = exif[0x011B] = IFDRational(72, 1)
    exif[0x0128] = 2
    exif[0x0131] = SIMULATOR_SOFTWARE
    exif[0x0213] = 1
    # Days of one year, drawn: a simulated camera has no clock.
    day, second = int(rng.integers(365)), int(rng.integers(86400))
    taken = np.datetime64("2023-01-01T00:00:00") + np.timedelta64(day, "D") + np.timedelta64(second, "s")
    tags: dict[int, object] = {
        0x829A: IFDRational(1, round(1 / settings.exposure_time_s)),
        0x829D: _rational(settings.f_number),
        0x8822: settings.exposure_program,
        0x8827: settings.iso,
        0x9000: b"0232",
        0x9003: str(taken).replace("-", ":").replace("T", " "),
        0x9101: b"\1\2\3\0",
        0x9201: _rational(round(-float(np.log2(settings.exposure_time_s)), 4)),
        0x9202: _rational(round(2 * float(np.log2(settings.f_number)), 4)),
        0x9203: _rational(settings.brightness_ev),
        0x9204: _rational(round(settings.exposure_bias_ev * 3) / 3),
        0x9207: settings.metering_mode,
        0x9209: settings.flash,
        0x920A: _rational(settings.focal_length_mm),
        0xA000: b"0100",
        0xA001: 1,
        0xA002: width,
        0xA003: height,
        0xA402: settings.exposure_mode,
        0xA403: settings.white_balance,
        0xA405: settings.focal_length_35mm_mm,
        0xA406: settings.scene_capture_type,
    }
    for tag in _OPTIONAL:
        if rng.random() < 0.04:
            del tags[tag]
    flaws: dict[int, object] = {0x829D: IFDRational(0, 0), 0x8827: 65535, 0x9207: 0, 0xA405: 0}
    for tag, flaw in flaws.items():
        if tag in tags and rng.random() < 0.02:
            tags[tag] = flaw
            if tag == 0x829D:
                tags.pop(0x9202, None)
    wrong: dict[int, object] = {
        0x9202: _rational(round(2 * float(np.log2(settings.f_number)), 4) + 2),
        0x920A: IFDRational(0, 1),
        0x9003: "0000:00:00 00:00:00",
    }
    for tag, value in wrong.items():
        if tag in tags and rng.random() < 0.01:
            tags[tag] = value
    exif.get_ifd(_EXIF_IFD).update(tags)
    return exif.tobytes()


def generated_exif() -> bytes:
    """Return the EXIF block of a picture that no camera took: IFD0 with the Software tag alone."""
    exif = Image.Exif()
    exif[0x0131] = SIMULATOR_SOFTWARE
    return exif.tobytes()
