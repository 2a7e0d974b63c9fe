"""From exiftool's tags to typed columns: the rules that make a row of table `exif`.

The registry of columns (tag, EXIF id, range, codes) belongs here as data, with the pure functions that apply it: any
JSON gives a row and a reason for every value not taken, never an exception. Reading single values belongs in
`exif_values.py`, comparing several in `exif_checks.py`, marks of editors and generators in `exif_marks.py`, names of
makers and models in `exif_names.py`, which tags are kept at all in `exif_privacy.py`, running exiftool in
`exiftool.py`.

Keys are exiftool's with `-G1` (`ExifIFD:FNumber`). Columns come from IFD0 and ExifIFD only: IFD1 describes the
thumbnail, and maker notes use the same names for other things. Tag ids and codes: Exif 3.0 (CIPA DC-008-2023), 4.6.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from warehouse.exif_checks import crop_factor_fits, differs_from_pixels, is_after, is_impossible
from warehouse.exif_marks import c2pa_claim_generator, digital_source_type, edit_evidence, generator_evidence
from warehouse.exif_names import is_placeholder, maker, model
from warehouse.exif_values import Reason, date, excerpt, number, numbers, text

RowValue = str | float | int | bool | None

SIMULATOR = "sdaie simulator 1"


@dataclass(frozen=True)
class Apex:
    """The logarithmic twin of a number: exiftool has undone the logarithm. `stops` = EV per doubling."""

    tag: str
    id: int
    stops: float


@dataclass(frozen=True)
class Number:
    """A column of numbers: source tag, EXIF id, plausible range (inclusive), the value that says unknown.

    `unused` is what numerator 0 (0/n, 0/0) means where it says that the function was not used. `apex` is the twin.
    """

    column: str
    tag: str
    id: int
    low: float
    high: float
    unknown: float | None = 0.0
    unused: float | None = None
    apex: Apex | None = None


@dataclass(frozen=True)
class Code:
    """A column of labels: source tag, EXIF id, code -> label (None: the code says unknown), label of other codes."""

    column: str
    tag: str
    id: int
    labels: Mapping[int, str | None]
    other: str | None = None


def _labels(first: int, names: str) -> dict[int, str | None]:
    """Labels of consecutive codes from `first`."""
    return dict(enumerate(names.split(), first))


def _flash(code: int) -> str | None:
    """The class of a flash byte: bit 0 fired, bits 3-4 mode (3 = auto), bit 5 no flash function."""
    if code & 1:
        return "fired_auto" if code >> 3 & 3 == 3 else "fired"
    return "no_function" if code & 0x20 else "not_fired"


_TIME_APEX = Apex("ExifIFD:ShutterSpeedValue", 0x9201, stops=1)
_APERTURE_APEX = Apex("ExifIFD:ApertureValue", 0x9202, stops=2)

NUMBERS = (
    Number("f_number", "ExifIFD:FNumber", 0x829D, 0.7, 64, apex=_APERTURE_APEX),
    Number("exposure_time_s", "ExifIFD:ExposureTime", 0x829A, 1e-5, 3600, apex=_TIME_APEX),
    Number("focal_length_mm", "ExifIFD:FocalLength", 0x920A, 1, 3000),
    Number("focal_length_35mm_mm", "ExifIFD:FocalLengthIn35mmFormat", 0xA405, 1, 3000),
    Number("exposure_bias_ev", "ExifIFD:ExposureCompensation", 0x9204, -10, 10, unknown=None),
    Number("brightness_ev", "ExifIFD:BrightnessValue", 0x9203, -20, 20, unknown=None),
    Number("digital_zoom_ratio", "ExifIFD:DigitalZoomRatio", 0xA404, 0.1, 100, unused=1.0),
    Number("max_aperture_f_number", "ExifIFD:MaxApertureValue", 0x9205, 0.7, 64, unknown=1.0),  # APEX 0
)
ISO = Number("iso", "ExifIFD:ISO", 0x8827, 6, 4e6)
ISO_SATURATED = 65535
# Where the sensitivity stands when ISO does not hold it, in this order.
SENSITIVITIES = (
    Number("iso", "ExifIFD:ISOSpeed", 0x8833, 6, 4e6),
    Number("iso", "ExifIFD:RecommendedExposureIndex", 0x8832, 6, 4e6),
    Number("iso", "ExifIFD:StandardOutputSensitivity", 0x8831, 6, 4e6),
)

_METERING = _labels(1, "average centre_weighted spot multi_spot pattern partial")
_SCENES = _labels(0, "standard landscape portrait night")
_PROGRAMS = _labels(1, "manual program aperture_priority shutter_priority creative action portrait landscape")
_LIGHT = (
    _labels(1, "daylight fluorescent tungsten flash")
    | _labels(9, "fine_weather cloudy shade daylight_fluorescent day_white_fluorescent cool_white_fluorescent")
    | _labels(15, "white_fluorescent warm_white_fluorescent standard_a standard_b standard_c d55 d65 d75 d50")
    | {24: "iso_studio_tungsten", 255: "other"}
)
_FLASH = {code: _flash(code) for code in range(128) if code & 0x21 != 0x21}  # fired without a flash is no code

CODES = (
    Code("flash", "ExifIFD:Flash", 0x9209, _FLASH),
    Code("metering_mode", "ExifIFD:MeteringMode", 0x9207, {0: None} | _METERING | {255: "other"}),
    Code("exposure_mode", "ExifIFD:ExposureMode", 0xA402, _labels(0, "auto manual bracket"), "other"),
    Code("white_balance", "ExifIFD:WhiteBalance", 0xA403, _labels(0, "auto manual")),
    Code("scene_capture_type", "ExifIFD:SceneCaptureType", 0xA406, _SCENES, "other"),
    Code("exposure_program", "ExifIFD:ExposureProgram", 0x8822, {0: None} | _PROGRAMS),
    Code("light_source", "ExifIFD:LightSource", 0x9208, {0: None} | _LIGHT),
)
_ORIENTATION = "IFD0:Orientation"  # 0x0112
_MAKE, _MODEL, _SOFTWARE = "IFD0:Make", "IFD0:Model", "IFD0:Software"  # 0x010F, 0x0110, 0x0131
_TAKEN_AT = "ExifIFD:DateTimeOriginal"  # 0x9003
_WRITTEN_AT = ("ExifIFD:CreateDate", "IFD0:ModifyDate")  # 0x9004 DateTimeDigitized, 0x0132 DateTime
# Where EXIF states the size of the picture: PixelXDimension and PixelYDimension (0xA002, 0xA003), else ImageWidth and
# ImageLength (0x0100, 0x0101), in which some telephones keep the size of the sensor.
_SIZES = (
    ("ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight"),
    ("IFD0:ImageWidth", "IFD0:ImageHeight"),
)

COLUMN_TAGS = (
    frozenset(spec.tag for spec in (*NUMBERS, *CODES, ISO, *SENSITIVITIES))
    | {spec.apex.tag for spec in NUMBERS if spec.apex is not None}
    | {_ORIENTATION, _MAKE, _MODEL, _SOFTWARE, _TAKEN_AT}
)
"""The tags of which a value that is not taken has a reason."""


@dataclass(frozen=True)
class ExifIssue:
    """A value not taken as it stands: tag with group, the value cut to 200 characters, and the reason."""

    tag: str
    raw_value: str
    reason: Reason


@dataclass(frozen=True)
class NormalisedExif:
    """One row of table `exif` without its key, null = missing, and its issues, one per tag and reason, in order."""

    row: dict[str, RowValue]
    issues: tuple[ExifIssue, ...]


def normalise(tags: Mapping[str, object], stored: tuple[int, int] | None = None) -> NormalisedExif:
    """The row of table `exif` that these tags give; total: every JSON object gives one.

    `stored` is the width and height of the stored pixels, None where they are not known.
    """
    notes = _Notes(tags)
    make_text, model_text = notes.text(_MAKE), notes.text(_MODEL)
    make = maker(make_text) if make_text is not None else None
    edits, marks = edit_evidence(tags), generator_evidence(tags)
    row: dict[str, RowValue] = {"make": make}
    row["model"] = camera = model(model_text, make) if model_text is not None else None
    row |= {code.column: notes.label(code) for code in CODES}
    measured = {spec.column: notes.measured(spec) for spec in NUMBERS}
    row |= measured
    row["iso"] = notes.sensitivity()
    focal, equivalent = measured["focal_length_mm"], measured["focal_length_35mm_mm"]
    if focal is not None and equivalent is not None:
        zoom = max(measured["digital_zoom_ratio"] or 1.0, 1.0)
        if not crop_factor_fits(make, camera, focal, equivalent, zoom):
            notes.note("ExifIFD:FocalLengthIn35mmFormat", Reason.DISAGREES_WITH_CROP_FACTOR)
    row["orientation"] = notes.orientation()
    row["taken_at"] = notes.taken_at()
    row["software"] = software = notes.text(_SOFTWARE)
    row["edited"] = bool(edits)
    row["edit_evidence"] = "; ".join(edits) or None
    stated = notes.stated_size()
    row["resized_or_cropped"] = None if stated is None or stored is None else differs_from_pixels(stated, stored)
    row["generator_mark"] = "; ".join(marks) or None
    row["digital_source_type"] = digital_source_type(tags)
    row["c2pa_claim_generator"] = c2pa_claim_generator(tags)
    row["simulated"] = software == SIMULATOR
    return NormalisedExif(row, tuple(notes.issues.values()))


class _Notes:
    """Reads values out of `tags` and keeps the reason for each one not taken."""

    def __init__(self, tags: Mapping[str, object]) -> None:
        self.tags = tags
        self.issues: dict[tuple[str, Reason], ExifIssue] = {}

    def note(self, tag: str, reason: Reason) -> None:
        self.issues.setdefault((tag, reason), ExifIssue(tag, excerpt(self.tags[tag]), reason))

    def text(self, tag: str) -> str | None:
        if tag not in self.tags:
            return None
        value = text(self.tags[tag])
        if isinstance(value, str) and not isinstance(value, Reason):
            if not is_placeholder(value):
                return value
            value = Reason.PLACEHOLDER
        self.note(tag, value)
        return None

    def label(self, code: Code) -> str | None:
        if code.tag not in self.tags:
            return None
        value = number(self.tags[code.tag])
        if isinstance(value, Reason):
            self.note(code.tag, value)
            return None
        if value not in code.labels:
            self.note(code.tag, Reason.UNKNOWN_CODE)
            return code.other
        label = code.labels[int(value)]
        if label is None:
            self.note(code.tag, Reason.UNKNOWN)
        return label

    def measured(self, spec: Number) -> float | None:
        if spec.unused is not None:
            raw = self.tags.get(spec.tag)
            if number(raw) == 0 or excerpt(raw) == "undef":
                return spec.unused
        direct = self._in_range(spec)
        if spec.apex is None or spec.apex.tag not in self.tags:
            return direct
        twin = number(self.tags[spec.apex.tag])
        if isinstance(twin, Reason) or not spec.low <= twin <= spec.high:
            return direct
        if direct is None:
            # APEX 0 means f/1 or 1 s, but beside a missing direct tag it is a field that nobody filled in.
            self.note(spec.apex.tag, Reason.UNKNOWN if twin == 1.0 else Reason.FALLBACK_APEX)
            return None if twin == 1.0 else twin
        # A hundredth of a stop for the rounding of both fractions.
        if abs(math.log2(direct / twin)) * spec.apex.stops > 1 / 3 + 0.01:
            self.note(spec.apex.tag, Reason.DISAGREES_WITH_APEX)
        return direct

    def sensitivity(self) -> float | None:
        if ISO.tag in self.tags:
            values = numbers(self.tags[ISO.tag])
            first = next((value for value in values if value != 0), 0.0)
            iso = self._checked(ISO, first)
            if iso == ISO_SATURATED:
                self.note(ISO.tag, Reason.SATURATED_ISO)
            elif iso is not None:
                return iso
        for spec in SENSITIVITIES:
            if (iso := self._in_range(spec)) is not None:
                self.note(spec.tag, Reason.FALLBACK_SENSITIVITY)
                return iso
        return None

    def orientation(self) -> int | None:
        if _ORIENTATION not in self.tags:
            return None
        value = number(self.tags[_ORIENTATION])
        if value in range(1, 9):
            return int(value)
        self.note(_ORIENTATION, value if isinstance(value, Reason) else Reason.UNKNOWN_CODE)
        return None

    def taken_at(self) -> str | None:
        if _TAKEN_AT not in self.tags:
            return None
        taken = date(self.tags[_TAKEN_AT])
        if isinstance(taken, Reason):
            self.note(_TAKEN_AT, taken)
            return None
        if is_impossible(taken):
            self.note(_TAKEN_AT, Reason.IMPOSSIBLE_DATE)
            return None
        for tag in _WRITTEN_AT:
            written = date(self.tags.get(tag))
            if not isinstance(written, Reason) and is_after(taken, written):
                self.note(tag, Reason.TAKEN_AFTER_WRITTEN)
        return str(taken)

    def stated_size(self) -> tuple[int, int] | None:
        """Width and height in px that EXIF states of the picture; None where it states none."""
        for sides in _SIZES:
            width, height = (number(self.tags.get(side)) for side in sides)
            if isinstance(width, float) and isinstance(height, float) and width > 0 and height > 0:
                return int(width), int(height)
        return None

    def _in_range(self, spec: Number) -> float | None:
        return self._checked(spec, number(self.tags[spec.tag])) if spec.tag in self.tags else None

    def _checked(self, spec: Number, value: float | Reason) -> float | None:
        if isinstance(value, Reason):
            self.note(spec.tag, value)
        elif value == spec.unknown:
            self.note(spec.tag, Reason.UNKNOWN)
        elif not spec.low <= value <= spec.high:
            self.note(spec.tag, Reason.OUT_OF_RANGE)
        else:
            return value
        return None
