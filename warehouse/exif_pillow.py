"""A second opinion on EXIF: the tags as Pillow's own reader finds them, in exiftool's names and numbers.

Reading with Pillow and telling how often two readers agree belong here. The rules that make columns of tags are those
of `exif_rules.py` for both readers, so a disagreement is one of reading.
"""

import os
import warnings
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Self

import polars as pl
from PIL import ExifTags, Image, TiffImagePlugin

from warehouse.exif_rules import CODES, ISO, NUMBERS, SENSITIVITIES
from warehouse.file_facts import LIMITS, prepare_pillow
from warehouse.guarded import Guarded
from warehouse.schema import TABLES

TAGS = tuple(c.name for c in TABLES["exif_pillow"].columns if c.name not in {"photo_id", "failure"})
"""The columns of table `exif` on which both readers have an opinion."""

_IFD0 = {0x010F: "Make", 0x0110: "Model", 0x0112: "Orientation", 0x0131: "Software", 0x0132: "ModifyDate"}
_IFD0_TAGS = {number: f"IFD0:{name}" for number, name in _IFD0.items()}
_APEX = {spec.apex.id: spec.apex for spec in NUMBERS if spec.apex is not None}
_EXIF_TAGS = (
    {spec.id: spec.tag for spec in (*NUMBERS, *CODES, ISO, *SENSITIVITIES)}
    | {number: apex.tag for number, apex in _APEX.items()}
    | {0x9003: "ExifIFD:DateTimeOriginal", 0x9004: "ExifIFD:CreateDate"}
)
_TIME_APEX, _APERTURE_APEX = 0x9201, (0x9202, 0x9205)
# exiftool prints fractions with ten significant digits.
_RELATIVE = 1e-6


_PATH, _BYTES = b"path:", b"data:"


class PillowError(Exception):
    """Pillow cannot say anything of a file; the message is a code and the error."""


class PillowReader:
    """Pillow in a guarded process, for many files of unknown origin; a context manager."""

    def __init__(self) -> None:
        self._tags = Guarded(_asked, LIMITS)

    def __enter__(self) -> Self:
        self._tags.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._tags.__exit__(*exception)

    def tags(self, source: Path | bytes) -> dict[str, object]:
        """`pillow_tags`. Raises RefusedError where the guarded process had to be ended."""
        return self._tags(_BYTES + source if isinstance(source, bytes) else _PATH + os.fsencode(source.absolute()))


def _asked(given: bytes) -> dict[str, object]:
    return pillow_tags(Path(os.fsdecode(given[len(_PATH) :])) if given.startswith(_PATH) else given[len(_BYTES) :])


def pillow_tags(source: Path | bytes) -> dict[str, object]:
    """EXIF tags of an image file by exiftool's names, as exiftool prints them with `-n`.

    EXIF alone: Pillow would take the orientation of XMP for that of EXIF. Nothing is decoded, so that EXIF which a PNG
    keeps after the pixels is not found. Raises PillowError where Pillow reads nothing.
    """
    prepare_pillow()
    # Pillow warns of odd metadata and of large pictures.
    with warnings.catch_warnings(action="ignore"):
        try:
            image = Image.open(BytesIO(source) if isinstance(source, bytes) else source)
        except Exception as error:  # Pillow's format plug-ins raise whatever a broken header makes them stumble over
            raise PillowError(f"not_opened: {type(error).__name__}") from None
        try:
            with image:
                for xmp in ("xmp", "XML:com.adobe.xmp"):
                    image.info.pop(xmp, None)
                exif = Image.Image.getexif(image)  # PNG's own would decode the picture to look behind it
                found = {key: exif.get(number) for number, key in _IFD0_TAGS.items()}
                # The HEIF reader sets it to 1, since it turns the pixels as the container says.
                orientation = _IFD0_TAGS[ExifTags.Base.Orientation]
                if found[orientation] is not None:
                    found[orientation] = image.info.get("original_orientation") or found[orientation]
                own = exif.get_ifd(ExifTags.IFD.Exif)
                found |= {key: _undone(number, own.get(number)) for number, key in _EXIF_TAGS.items()}
        except Exception as error:  # and so do its readers of EXIF
            raise PillowError(f"not_read: {type(error).__name__}") from None
    return {key: _printed(value) for key, value in found.items() if value is not None}


def agreement(exif: pl.DataFrame, pillow: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `exif_agreement` and of `exif_disagreements` from rows of `exif` and `exif_pillow`."""
    read = pillow.filter(pl.col("failure").is_null())
    both = exif.join(read, on="photo_id", suffix=" by Pillow")
    counts, differing = [], []
    for tag in TAGS:
        ours, theirs = pl.col(tag), pl.col(f"{tag} by Pillow")
        same = ours == theirs
        if exif.schema[tag].is_float():
            same |= (ours - theirs).abs() <= _RELATIVE * ours.abs()
        rows = both.select(
            "photo_id",
            tag=pl.lit(tag),
            exiftool=ours.cast(pl.String),
            pillow=theirs.cast(pl.String),
            same=same,
        ).filter(pl.col("exiftool").is_not_null() | pl.col("pillow").is_not_null())
        compared = rows["same"].drop_nulls()
        counts.append(
            {
                "tag": tag,
                "compared": len(compared),
                "agreed": int(compared.sum()),
                "only_exiftool": rows["pillow"].null_count(),
                "only_pillow": rows["exiftool"].null_count(),
            }
        )
        differing.append(rows.filter(~pl.col("same").fill_null(value=False)).drop("same"))
    return pl.DataFrame(counts), pl.concat(differing)


def _undone(number: int, value: object) -> object:
    """An APEX value with its logarithm undone, as exiftool does; others as they are."""
    if number != _TIME_APEX and number not in _APERTURE_APEX:
        return value
    if not isinstance(value, (int, float, TiffImagePlugin.IFDRational)) or _fraction_over_zero(value):
        return value
    apex = float(value)
    if number == _TIME_APEX:
        return 2.0**-apex if abs(apex) < 100 else 0.0
    return 2.0 ** (apex / 2) if apex < 2000 else inf


def _printed(value: object) -> object:
    """A value of Pillow's as exiftool prints it in JSON with `-n`."""
    if isinstance(value, TiffImagePlugin.IFDRational):
        return _fraction_over_zero(value) or float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, tuple):
        return [_printed(item) for item in value]
    return value


def _fraction_over_zero(value: object) -> str | None:
    if isinstance(value, TiffImagePlugin.IFDRational) and value.denominator == 0:
        return "inf" if value.numerator else "undef"
    return None
