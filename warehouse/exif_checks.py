"""What values of one photograph say of one another: dates, focal lengths against the sensor, size against the pixels.

Checks between several values belong here, as pure functions of values that were read already; a check that fails is a
remark, never a reason to throw a value away. Reading one value belongs in `exif_values.py` and `exif_rules.py`, the
known crop factors in `exif_crop_factors.toml`.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

FIRST_YEAR, LAST_YEAR = 1826, 2100
"""The first photograph is of 1826. Scans carry the date of their original, so the age of digital cameras is no bound;
and no bound is taken from a clock, as the same file must give the same row on any day."""

# Cameras write one moment into all three dates; a day is for those whose dates are in different time zones.
_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class _Sensor:
    make: str
    model: re.Pattern[str]
    factors: tuple[float, ...]


def is_impossible(taken: datetime) -> bool:
    """Whether no photograph can have been taken at this time."""
    return not FIRST_YEAR <= taken.year <= LAST_YEAR


def is_after(taken: datetime, written: datetime) -> bool:
    """Whether a photograph would have been taken more than a day after it was written."""
    return taken - written > _SLACK


def crop_factor_fits(make: str | None, model: str | None, focal_mm: float, focal_35mm_mm: float, zoom: float) -> bool:
    """Whether 35 mm focal length over focal length (mm) is a crop factor that the camera can have.

    `zoom` is the digital zoom, 1 where there is none: telephones count it in, cameras do not, and either is right.
    """
    rounding = _known()["rounding_mm"]
    tolerance = _known()["tolerance"]
    factors = _factors(make or "", model or "")
    low, high = (min(factors), max(factors)) if factors else _known()["plausible"]
    for equivalent in {focal_35mm_mm, focal_35mm_mm / zoom}:
        if factors and any(_near(equivalent, focal_mm * f, tolerance, rounding) for f in factors):
            return True
        if not factors and focal_mm * low - rounding <= equivalent <= focal_mm * high + rounding:
            return True
    return False


def differs_from_pixels(stated: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Whether a size that EXIF states (width, height in px) is not that of the stored pixels, upright or turned."""
    return sorted(stated) != sorted(stored)


def _near(value: float, target: float, tolerance: float, rounding: float) -> bool:
    return abs(value - target) <= max(target * tolerance, rounding)


@cache
def _factors(make: str, model: str) -> tuple[float, ...]:
    """The crop factors of a camera; empty where it is not known."""
    return next((s.factors for s in _sensors() if s.make == make and s.model.fullmatch(model)), ())


@cache
def _sensors() -> Iterable[_Sensor]:
    return [_Sensor(c["make"], re.compile(c["model"]), tuple(c["factors"])) for c in _known()["camera"]]


@cache
def _known() -> dict[str, Any]:
    return tomllib.loads((files("warehouse") / "exif_crop_factors.toml").read_text("utf-8"))
