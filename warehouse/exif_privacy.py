"""What of exiftool's tags reaches a table: the file's own and the camera's, and nothing about a person.

Names of private tags, kinds of groups and the texts that are kept belong here as data, with the functions that apply
them. What values mean belongs in `exif_rules.py`; which texts are the mark of a generator, in `exif_marks.py`.

There are thousands of tags, anyone can make new ones, and what people type goes anywhere. So names are one barrier
and not the only one:

- Tags whose name says where, which device, which file, who, or words for people to read are dropped in every group.
- Groups that people, agencies and cataloguing programs fill (IPTC, most of XMP, PNG text, C2PA assertions, anything
  unknown in XMP) keep only tags on a list, numbers included: a keyword may be a telephone number.
- All other groups keep their numbers and dates. Their text is kept where a camera writes it into its own maker notes,
  or where the tag is on a list of names for programs, lenses and cameras.
- No text is kept that holds a path into a person's folders or an electronic address.
- Where a column is made of a tag, text that is not kept is replaced by its length, so that it still has a reason.
- Of a generator's prompt only the fact is kept.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from warehouse.exif_marks import is_generation_text, source_terms
from warehouse.exif_rules import COLUMN_TAGS
from warehouse.exif_values import GENERATION_TEXT, is_binary, withheld

# Groups that hold nothing of the file's own content: the file system, exiftool itself, values it derives from others.
DROPPED_GROUPS = frozenset({"", "Composite", "ExifTool", "GPS", "System"})

# Names of private tags, in whichever group (EXIF, maker notes, XMP, IPTC, PNG text): where, which device, who, what
# people wrote. HostComputer goes too (a computer is often called after its owner), and identifiers that tie a file to
# others.
PRIVATE_TAGS = {
    "where": "*gps* *latitude* *longitude* *altitude* *location* *city *citycode *cityname country* state province* "
    "*landmark* *address* *geotag* destination* hometown* venue*",
    "device": "*serial* cameraid *deviceid* *imei* hostcomputer *filename* *filepath* *userlabel*",
    "file": "*uniqueid* *uuid* *guid* *documentid *instanceid *identifier *folder* *directory *url* *uri",
    "owner": "*owner* *copyright* *licensor* publisher contributor credit*",
    "terms": "*rights usageterms webstatement *licens*",
    "author": "*artist* *author* creator creator[!t]* *creatorname* *creatorid *by-line* writer-editor captionwriter*",
    "person": "*photographer* *person* region*name face*name *face?name people baby* pet*name *birth* *nickname*",
    "contact": "*contact* *username* *userid* *email* *phone* *fax*",
    "words": "*comment* *caption* description *imagedescription* *picturedescription *title* *headline* *keyword* "
    "*subject *instructions *memo* xp* documentname pagename objectname textinfo* text label colorlabel *category",
}
_ABOUT_PEOPLE = ("where", "device", "owner", "author", "person", "contact")


def _names_of(kinds: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for kind in kinds for name in PRIVATE_TAGS[kind].split()))


_PRIVATE = _names_of(PRIVATE_TAGS)
_PERSONAL_NAMES = _names_of(_ABOUT_PEOPLE)

# Groups in which people, agencies and programs that catalogue keep what they like.
_PEOPLE = re.compile(
    r"XMP(-.*)?|IPTC.*|PNG|PDF.*|XML.*|HTML.*|HTTP.*|JSON|CBOR|JUMBF|MIE-.*|ID3.*|Keys|UserData|ItemList|AFCP|DICOM"
    r"|Ducky|FotoStation|MacOS|PhotoMechanic|PictureInfo|RSRC"
)
# Namespaces of XMP that hold settings of cameras and developers, and of viewers of panoramas.
_SETTINGS = re.compile(
    r"XMP-(crs|exif|exifEX|tiff|xmp|xmpMM|aux|GPano|GCamera|GSpherical|hdrgm|HDRGainMap|Camera|FLIR|drone-dji|Container)"
)
# Groups into which firmware writes, and people at most a name or a comment, which go by the names above.
_MAKER = re.compile(
    r"(Apple|Canon|Casio|DJI|FLIR|FujiFilm|GE|GoPro|Google|HP|HTC|JVC|Kodak|Leica|Minolta|Motorola|Nikon|Nintendo|Olympus"
    r"|Panasonic|Parrot|Pentax|PhaseOne|Qualcomm|Reconyx|Ricoh|Samsung|Sanyo|Sigma|Sony|SR2|ICC)[-_\w]*"
)
# Names, in lower case, of what programs write about pictures, lenses, the file's structure and themselves.
_KEPT_NAMES = re.compile(
    r"make|model|(processing|capture|stitching)?software|creatortool|(localized|unique)cameramodel|lens(make|model|info)?"
    r"|format|projectiontype|history(action|softwareagent|when)|originatingprogram|programversion|(reader|writer)name"
    r"|\w*digitalsourcetype|jumd(type|label)|claim_generator(_info(name|version))?|actions(action|softwareagent\w*)"
    r"|interop(erability)?index|(file|handler|auxiliaryimage)type|filetypeextension|mimetype|exifbyteorder|xmptoolkit"
    r"|(major|compatible)brands?|colorprofiles|metaversion|directoryitem(mime|semantic)|whitebalance|bandname"
    r"|components(configuration)?|image(width|height)|bitdepth|colortype|compression|filter"
    r"|interlace|gamma|srgbrendering|\w*recordversion"
)
# Colour profiles that ship with programs and cameras; one that was measured is called after its screen or its owner.
_PROFILE = re.compile(
    r"(e-)?s?rgb|c2|adobe ?rgb|apple rgb|display p3|prophoto|romm|wide gamut|dot gain|gray gamma|oprgb|eci-?rgb"
    r"|rec\W*(709|2020)|itu|nikon|kodak|nokia|camera rgb|gimp|artifex",
    re.IGNORECASE,
)
_PERSONAL = re.compile(
    r"\S@\S+\.\w|\b[a-z]:[\\/]|\\\\|/(home|users|media|mnt|volumes|root|private|var)/|file:|https?:(?!//(cv\.iptc|c2pa)\.org)",
    re.IGNORECASE,
)
# Letters that a number or a date may have around it: units, and exiftool's words for fractions over zero.
_UNITS = frozenset(["cm", "e", "ev", "f", "hz", "inf", "iso", "mm", "nan", "nm", "px", "s", "sec", "t", "undef", "z"])
_LETTERS = re.compile(r"[^\W\d_]+")
_MEASURE_CHARACTERS = 100
# Files of one camera have the same tags; what a name means is found out once. Bounded: names may be anyone's.
_NAMES_REMEMBERED = 1 << 16


@lru_cache(_NAMES_REMEMBERED)
def is_private(tag: str) -> bool:
    """Whether a tag (`group:name`) by its name tells a place, a device or file apart, a person or a person's words."""
    group, _, name = tag.rpartition(":")
    return group == "GPS" or _PRIVATE.match(name.lower()) is not None


def is_about_people(name: str) -> bool:
    """Whether a column's name says a place, a device's serial number or a person; not so words, terms and files."""
    return _PERSONAL_NAMES.match(name.lower()) is not None


def ingested(tags: Mapping[str, object]) -> dict[str, object]:
    """What table `exif_raw` keeps of exiftool's tags; total, and the same again if given its own answer."""
    kept: dict[str, object] = {}
    for tag, value in tags.items():
        if tag.rpartition(":")[0] in DROPPED_GROUPS or is_binary(value):
            continue
        if is_generation_text(tag, value):
            kept[tag] = GENERATION_TEXT
        elif is_private(tag):
            continue
        elif _may_stay(tag, value):
            kept[tag] = value
        elif tag in COLUMN_TAGS:
            kept[tag] = withheld(value)
    return kept


def _may_stay(tag: str, value: object) -> bool:
    keeps_numbers, keeps_text = _kept(tag)
    items = value if isinstance(value, list) else [value]
    if all(map(_is_measure, items)):
        return keeps_numbers
    name = tag.rpartition(":")[2].lower()
    return keeps_text and all(_is_measure(item) or _is_harmless(name, item) for item in items)


@lru_cache(_NAMES_REMEMBERED)
def _kept(tag: str) -> tuple[bool, bool]:
    """Whether a tag, by its group and name, keeps numbers and dates, and whether it keeps text."""
    group, _, name = tag.rpartition(":")
    listed = _KEPT_NAMES.fullmatch(name.lower()) is not None
    free = _PEOPLE.fullmatch(group) is not None and _SETTINGS.fullmatch(group) is None
    return listed or not free, listed or _MAKER.fullmatch(group) is not None


def _is_measure(value: object) -> bool:
    """Whether a value is nothing but numbers, dates and units."""
    if isinstance(value, str):
        return len(value) <= _MEASURE_CHARACTERS and all(w in _UNITS for w in _LETTERS.findall(value.lower()))
    return value is None or isinstance(value, (bool, int, float))


def _is_harmless(name: str, value: object) -> bool:
    """Whether a text of a camera or a program is what the tag is there for."""
    if not isinstance(value, str) or _PERSONAL.search(value):
        return False
    if name.endswith("digitalsourcetype"):
        return bool(source_terms(value))
    if name == "jumdlabel":
        return value.startswith("c2pa") and ":" not in value
    return not name.startswith("profiledescription") or _PROFILE.match(value) is not None
