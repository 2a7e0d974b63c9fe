"""Single values as exiftool prints them, made safe to judge: text, numbers, excerpts.

What one printed value says, whatever its JSON type, belongs here; every function takes any JSON value and never
raises. What a tag means, its codes and its range belong in `exif_rules.py`; marks of editors and generators in
`exif_marks.py`.
"""

import math
import re
from datetime import datetime
from enum import StrEnum

EXCERPT_CHARACTERS = 200

GENERATION_TEXT = "(text of a generator)"
"""What stands in place of a prompt."""

_WITHHELD = re.compile(r"\((text of \d+ characters|text of a generator)\)")
_BINARY = re.compile(r"\(Binary data \d+ bytes.*", re.DOTALL)
_DATE = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d*)?|\.\d+)([eE][-+]?\d{1,4})?", re.ASCII)


class Reason(StrEnum):
    """Why a value was not taken as it stands; closed: every issue carries one of these."""

    EMPTY = "empty"
    """No value: empty text, or only blanks and NULs."""
    PLACEHOLDER = "placeholder"
    """Text that stands for no value: `--`, `unknown`, exiftool's `(Binary data ...)`."""
    WITHHELD = "withheld"
    """Text that may tell of a person (a path, an address, a prompt, words where a number is due), so it is not kept."""
    NOT_TEXT = "not_text"
    """A list or structure where text is due."""
    NOT_A_NUMBER = "not_a_number"
    """Text (a unit suffix, a label), a truth value, several values or a structure where one number is due."""
    NOT_A_DATE = "not_a_date"
    """Not `YYYY:MM:DD HH:MM:SS`, or no day of the calendar."""
    IMPOSSIBLE_DATE = "impossible_date"
    """A day before the first photograph (1826) or after 2100; missing."""
    TAKEN_AFTER_WRITTEN = "taken_after_written"
    """Taken more than a day after it was digitised or the file was changed, by this other tag. Value kept."""
    UNDEFINED = "undefined"
    """A fraction with denominator zero: 0/0 (exiftool prints `undef`) or n/0 (`inf`)."""
    UNKNOWN = "unknown"
    """The value by which the tag itself says unknown: metering mode 0, 35 mm focal length 0, APEX 0 left unset."""
    UNKNOWN_CODE = "unknown_code"
    """A code that EXIF does not define; taken as `other` where the column has that label, else missing."""
    OUT_OF_RANGE = "out_of_range"
    """A number no camera can mean; missing."""
    SATURATED_ISO = "saturated_iso"
    """ISO 65535: the 16-bit field is full, the sensitivity stands in another tag."""
    FALLBACK_SENSITIVITY = "fallback_sensitivity"
    """The ISO value was taken from this tag, since ISO itself is missing or saturated. Value kept."""
    FALLBACK_APEX = "fallback_apex"
    """The value was taken from this APEX tag, since the direct one is missing or unusable. Value kept."""
    DISAGREES_WITH_APEX = "disagrees_with_apex"
    """The direct tag and this APEX tag differ by more than 1/3 EV. The direct value is kept."""
    DISAGREES_WITH_CROP_FACTOR = "disagrees_with_crop_factor"
    """Over the focal length, this 35 mm one gives a crop factor that the camera's sensor cannot have. Value kept."""


def as_printed(digits: str) -> float | str:
    """The number where it prints as written, else the text: a version `1.10` is not 1.1, `1e999` is not infinity."""
    value = float(digits)
    return value if repr(value) == digits else digits


def is_binary(value: object) -> bool:
    """Whether exiftool printed only how many bytes of binary data there are."""
    return isinstance(value, str) and _BINARY.fullmatch(value.strip()) is not None


def withheld(value: object) -> object:
    """What stands in place of text that is not kept: `text` and `number` know its form. A structure is emptied."""
    if not isinstance(value, str):
        return []
    return value if _WITHHELD.fullmatch(value) else f"(text of {len(value)} characters)"


def text(value: object) -> str | Reason:
    """Text of a scalar: cut at the first NUL after the padding, blanks collapsed, valid UTF-8, printable only."""
    if isinstance(value, bool):
        value = str(value).lower()  # exiftool prints a camera called "True" as a truth value
    if isinstance(value, (int, float)):
        value = _digits(value)
    if not isinstance(value, str):
        return Reason.EMPTY if value is None else Reason.NOT_TEXT
    if is_binary(value):
        return Reason.PLACEHOLDER
    if _WITHHELD.fullmatch(value):
        return Reason.WITHHELD
    words = value.strip("\0 \t\r\n").split("\0", 1)[0].split()
    clean = " ".join(filter(None, ("".join(filter(str.isprintable, word)) for word in words)))
    return clean[:EXCERPT_CHARACTERS].rstrip() or Reason.EMPTY


def number(value: object) -> float | Reason:
    """The finite number that `value` is; text counts if it is nothing but a decimal number."""
    if isinstance(value, str):
        word = value.strip("\0 \t\r\n")
        if not word:
            return Reason.EMPTY
        if word.lower().lstrip("+-") in {"undef", "inf", "nan"}:
            return Reason.UNDEFINED
        if not _NUMBER.fullmatch(word):
            return Reason.WITHHELD if _WITHHELD.fullmatch(word) else Reason.NOT_A_NUMBER
        return _finite(float(word))
    if value is None:
        return Reason.EMPTY
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Reason.NOT_A_NUMBER
    try:
        return _finite(float(value))
    except OverflowError:
        return Reason.OUT_OF_RANGE


def numbers(value: object) -> list[float | Reason]:
    """The numbers of a JSON list or of a blank-separated text, in order; one element for a scalar."""
    if isinstance(value, str) and not _WITHHELD.fullmatch(value):
        words = value[:EXCERPT_CHARACTERS].split()
        return [number(word) for word in words] if len(words) > 1 else [number(value)]
    if isinstance(value, list) and value:
        return [number(item) for item in value[:EXCERPT_CHARACTERS]]
    return [number(value)]


def date(value: object) -> datetime | Reason:
    """The day and second that a text names, without its time zone: EXIF means the camera's own clock."""
    words = text(value)
    if isinstance(words, Reason):
        return words
    if not any(c in "123456789" for c in words):
        return Reason.UNKNOWN
    found = _DATE.fullmatch(words)
    try:
        return datetime.fromisoformat("{}-{}-{} {}:{}:{}".format(*found.groups())) if found else Reason.NOT_A_DATE
    except ValueError:
        return Reason.NOT_A_DATE


def excerpt(value: object) -> str:
    """`value` for a person to read: at most 200 characters, valid UTF-8, no NUL; structures are only named."""
    if isinstance(value, str):
        raw = value[:EXCERPT_CHARACTERS]
    elif isinstance(value, (int, float)):
        raw = _digits(value)[:EXCERPT_CHARACTERS]
    elif isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value[:20]):
        raw = ", ".join(excerpt(item) for item in value[:20])[:EXCERPT_CHARACTERS]
    else:
        # The members of a structure may be private, and no tag that is read here has one.
        raw = "" if value is None else "(structure)"
    return "".join("\N{REPLACEMENT CHARACTER}" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in raw)


def _finite(value: float) -> float | Reason:
    if math.isnan(value):
        return Reason.UNDEFINED
    return value if math.isfinite(value) else Reason.OUT_OF_RANGE


def _digits(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return "(integer of thousands of digits)"
