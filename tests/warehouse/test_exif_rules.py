import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.exif_names import maker, model
from warehouse.exif_privacy import ingested, is_private
from warehouse.exif_rules import CODES, COLUMN_TAGS, ISO, NUMBERS, SIMULATOR, normalise
from warehouse.exif_values import Reason
from warehouse.exiftool import ExifReader
from warehouse.schema import TABLES

CORPUS = Path(__file__).parents[2] / "../shared/corpus"
SECRET = "Ada Lovelace 4711"
PRIVATE = dict.fromkeys(
    (
        *("GPS:GPSLatitude", "XMP-exif:GPSLongitude", "XMP-drone-dji:GpsLatitude", "XMP-drone-dji:AbsoluteAltitude"),
        *("IPTC:City", "IPTC:Sub-location", "XMP-photoshop:City", "XMP-iptcExt:LocationShownCity", "Panasonic:City"),
        *("ExifIFD:SerialNumber", "ExifIFD:LensSerialNumber", "Canon:SerialNumber", "Nikon:SerialNumber"),
        *("FujiFilm:InternalSerialNumber", "XMP-aux:SerialNumber", "ExifIFD:ImageUniqueID", "IFD0:HostComputer"),
        *("Canon:OwnerName", "ExifIFD:OwnerName", "XMP-aux:OwnerName", "IFD0:Artist", "IFD0:XPAuthor", "IPTC:By-line"),
        *("XMP-dc:Creator", "XMP-iptcCore:CreatorWorkEmail", "IFD0:Copyright", "XMP-dc:Rights", "PNG:Author"),
        *("XMP-iptcExt:PersonInImage", "XMP-mwg-rs:RegionName", "Samsung:FaceName", "Panasonic:BabyName"),
        *("XMP-xmpMM:DocumentID", "XMP-xmpMM:HistoryInstanceID", "IFD0:OriginalRawFileName", "Apple:MediaGroupUUID"),
    ),
    SECRET,
)
READ_TAGS = sorted(
    COLUMN_TAGS
    | {"ExifIFD:CreateDate", "IFD0:ModifyDate", "ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight"}
    | {"ExifIFD:CustomRendered", "ExifIFD:FileSource", "XMP-xmpMM:HistoryAction", "IFD0:ImageWidth"}
)
ODD_VALUES: tuple[object, ...] = (
    *(
        "",
        " ",
        "\0\0",
        "undef",
        "inf",
        "-inf",
        "nan",
        "f/2.8",
        "1/60 s",
        "50 mm",
        "0 0 400",
        "1e999",
        "-1",
        "0x10",
        "٣",
    ),
    *("(Binary data 12 bytes, use -b option to extract)", "\ud800", "Canon\0\0", "9" * 5000, "a" * 100_000, "--"),
    *(10**400, -(10**5000), 1e308, -0.0, 5e-324, float("inf"), float("nan"), True, False, None, 65535, 255),
    *([], [0, 0, 400], ["0", 200], [[1]], {}, {"GPSLatitude": SECRET}, [{"GPSLatitude": SECRET}]),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
json_values = st.sampled_from(ODD_VALUES) | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def value(column: str, **tags: object) -> object:
    return normalise({f"ExifIFD:{tag}": raw for tag, raw in tags.items()}).row[column]


def reasons(tags: dict[str, object]) -> dict[str, Reason]:
    return {issue.tag: issue.reason for issue in normalise(tags).issues}


def test_a_row_has_the_columns_of_the_table() -> None:
    assert sorted(normalise({}).row) == sorted(set(TABLES["exif"].column_names) - {"photo_id"})


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.sampled_from(READ_TAGS) | st.text(st.characters(), max_size=8), json_values, max_size=12),
    st.none() | st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
)
def test_any_json_gives_a_row_that_the_table_takes(tags: dict[str, object], stored: tuple[int, int] | None) -> None:
    found = normalise(PRIVATE | tags, stored)
    columns = [column for column in TABLES["exif"].columns if column.name != "photo_id"]
    pa.Table.from_pylist([found.row], pa.schema([(column.name, column.type) for column in columns]))
    printed = json.dumps([found.row, [(i.tag, i.raw_value, i.reason) for i in found.issues]], allow_nan=False)
    printed.encode()
    assert SECRET not in printed
    for spec in (*NUMBERS, ISO):
        number = found.row[spec.column]
        assert number is None or (isinstance(number, float) and spec.low <= number <= spec.high)
    for code in CODES:
        assert found.row[code.column] in {None, code.other, *code.labels.values()}
    assert len({(issue.tag, issue.reason) for issue in found.issues}) == len(found.issues)
    for issue in found.issues:
        assert len(issue.raw_value) <= 200
        assert "\0" not in issue.raw_value
        issue.raw_value.encode()
        assert not is_private(issue.tag)
    kept = ingested(PRIVATE | tags)
    words = {tag: value for tag, value in kept.items() if isinstance(value, str)}
    assert ingested(words) == words
    assert SECRET not in words.values()


def test_a_file_of_many_thousand_tags_and_deep_structures_gives_its_row() -> None:
    deep: object = SECRET
    for _ in range(500):
        deep = [{"a": deep}]
    tags: dict[str, object] = {f"Canon:Tag{number}": deep if number % 1000 == 0 else number for number in range(20_000)}
    tags |= {f"XMP-own:Tag{number}": SECRET for number in range(20_000)} | {"ExifIFD:ISO": deep, "IFD0:Make": deep}
    found = normalise(ingested(tags))
    assert reasons(ingested(tags)) == {"ExifIFD:ISO": Reason.NOT_A_NUMBER, "IFD0:Make": Reason.NOT_TEXT}
    assert found.row["iso"] is found.row["make"] is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(READ_TAGS), json_values)
def test_a_value_that_is_there_is_taken_or_has_a_reason(tag: str, raw: object) -> None:
    column = {spec.tag: spec.column for spec in (*NUMBERS, *CODES, ISO)} | {
        "IFD0:Make": "make",
        "IFD0:Model": "model",
        "IFD0:Software": "software",
        "IFD0:Orientation": "orientation",
        "ExifIFD:DateTimeOriginal": "taken_at",
    }
    kept = ingested({tag: raw})
    found = normalise(kept)
    if tag in column and tag in kept:
        assert found.row[column[tag]] is not None or found.issues


@pytest.mark.parametrize("tag", PRIVATE)
def test_private_tags_are_known_in_every_group(tag: str) -> None:
    assert is_private(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *READ_TAGS,
        *("XMP-xmp:CreatorTool", "XMP-xmpMM:HistoryAction", "Canon:CanonModelID", "File:ImageWidth", "PNG:BitDepth"),
        *("ExifIFD:LensModel", "ICC-header:ProfileCreator", "XMP-crs:Sharpness", "Nikon:WhiteBalance"),
    ],
)
def test_tags_about_the_picture_are_kept(tag: str) -> None:
    assert ingested({tag: 1}) == {tag: 1}


def test_ingest_leaves_out_the_file_system_derived_values_and_binary_data() -> None:
    dropped = {"SourceFile": "/a/b.jpg", "System:FileName": "b.jpg", "ExifTool:ExifToolVersion": 12.57}
    dropped |= {"Composite:GPSPosition": "1 2", "Composite:Megapixels": 1.0, "GPS:GPSVersionID": "2 3 0 0"}
    dropped |= {"IFD1:ThumbnailImage": "(Binary data 4711 bytes, use -b option to extract)"}
    assert ingested(dropped | PRIVATE) == {}


@pytest.mark.parametrize(
    ("make", "model", "labels"),
    [
        ("NIKON CORPORATION", "NIKON D90", ("nikon", "d90")),
        ("NIKON", "COOLPIX P900", ("nikon", "coolpix p900")),
        ("OLYMPUS IMAGING CORP.", "E-P3", ("olympus", "e-p3")),
        ("OM Digital Solutions", "OM-1", ("olympus", "om-1")),
        ("OLYMPUS OPTICAL CO.,LTD", "C720UZ", ("olympus", "c720uz")),
        ("Sony Ericsson", "C905c", ("sony ericsson", "c905c")),
        ("SONY", "DSC-H9", ("sony", "dsc-h9")),
        ("SANYO Electric Co.,Ltd", "S1", ("sanyo", "s1")),
        ("Asahi Optical Co.,Ltd", "PENTAX Optio 330", ("pentax", "optio 330")),
        ("CASIO COMPUTER CO.,LTD.", "EX-M2", ("casio", "ex-m2")),
        ("JK Imaging, Ltd.", "KODAK PIXPRO FZ55", ("jk imaging", "kodak pixpro fz55")),
        ("Canon\0\0 ", " Canon EOS REBEL T5i", ("canon", "eos 700d")),
        ("Canon", "Canon EOS 700D", ("canon", "eos 700d")),
        ("SAMSUNG", "SAMSUNG-SM-N900A", ("samsung", "sm-n900a")),
        ("Jolla", "Jolla", ("jolla", "jolla")),
        ("Fuji Photo Film Co., Ltd.", "FinePix F30", ("fujifilm", "finepix f30")),
        ("Victor Hasselblad AB", "Hasselblad H3D", ("hasselblad", "h3d")),
        ("Arashi Vision", "Insta360 OneX2", ("insta360", "onex2")),
        ("Imaging Co., Ltd.", "X 1", ("imaging co ltd", "x 1")),
        ("--", "--", (None, None)),
        ("(Binary data 9 bytes, use -b option to extract)", "unknown", (None, None)),
        (None, "Canon EOS 6D", (None, "canon eos 6d")),
        (360, True, ("360", "true")),
    ],
)
def test_makers_and_models(make: object, model: object, labels: tuple[str | None, str | None]) -> None:
    row = normalise({"IFD0:Make": make, "IFD0:Model": model}).row
    assert (row["make"], row["model"]) == labels


@pytest.mark.parametrize(
    ("raw", "seconds", "reason"),
    [
        (0.008, 0.008, None),
        ("0.0080", 0.008, None),
        (1e-5, 1e-5, None),
        (3600, 3600.0, None),
        ("undef", None, Reason.UNDEFINED),
        ("inf", None, Reason.UNDEFINED),
        (0, None, Reason.UNKNOWN),
        (3601, None, Reason.OUT_OF_RANGE),
        (-1, None, Reason.OUT_OF_RANGE),
        (10**400, None, Reason.OUT_OF_RANGE),
        ("1/125", None, Reason.NOT_A_NUMBER),
        ("0.01 s", None, Reason.NOT_A_NUMBER),
        (True, None, Reason.NOT_A_NUMBER),
        ([0.01, 0.02], None, Reason.NOT_A_NUMBER),
        (" ", None, Reason.EMPTY),
        (None, None, Reason.EMPTY),
    ],
)
def test_numbers_are_plausible_or_missing_with_a_reason(
    raw: object, seconds: float | None, reason: Reason | None
) -> None:
    found = normalise({"ExifIFD:ExposureTime": raw})
    assert found.row["exposure_time_s"] == seconds
    assert [issue.reason for issue in found.issues] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("column", "tag", "inside", "outside"),
    [
        ("f_number", "FNumber", (0.7, 64), (0.69, 65)),
        ("iso", "ISO", (6, 4e6), (5, 4.1e6)),
        ("focal_length_mm", "FocalLength", (1, 3000), (0.9, 3001)),
        ("exposure_bias_ev", "ExposureCompensation", (-10, 0, 10), (-10.1, 10.1)),
        ("brightness_ev", "BrightnessValue", (-20, 0, 20), (-21, 42949672.95)),
        ("digital_zoom_ratio", "DigitalZoomRatio", (1, 2.5), (0.01, 1000)),
        ("max_aperture_f_number", "MaxApertureValue", (1.4, 5.6), (0.5, 1e93)),
    ],
)
def test_ranges(column: str, tag: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    assert [value(column, **{tag: raw}) for raw in inside] == list(inside)
    for raw in outside:
        assert value(column, **{tag: raw}) is None
        assert reasons({f"ExifIFD:{tag}": raw}) == {f"ExifIFD:{tag}": Reason.OUT_OF_RANGE}


def test_iso_is_the_first_of_a_list_that_is_not_zero() -> None:
    assert value("iso", ISO=[0, 0, 400, 800]) == value("iso", ISO="0 400") == 400.0
    assert reasons({"ExifIFD:ISO": [0, 0]}) == {"ExifIFD:ISO": Reason.UNKNOWN}


def test_saturated_iso_stands_elsewhere() -> None:
    tags: dict[str, object] = {
        "ExifIFD:ISO": 65535,
        "ExifIFD:StandardOutputSensitivity": 1,
        "ExifIFD:RecommendedExposureIndex": 102400,
    }
    found = normalise(tags)
    assert found.row["iso"] == 102400.0
    assert reasons(tags) == {
        "ExifIFD:ISO": Reason.SATURATED_ISO,
        "ExifIFD:RecommendedExposureIndex": Reason.FALLBACK_SENSITIVITY,
    }
    assert normalise(tags | {"ExifIFD:ISOSpeed": 204800}).row["iso"] == 204800.0
    assert value("iso", ISO=65535) is None


def test_apex_is_a_fallback_and_a_cross_check() -> None:
    assert value("f_number", FNumber="undef", ApertureValue=2.8) == 2.8
    assert reasons({"ExifIFD:FNumber": "undef", "ExifIFD:ApertureValue": 2.8}) == {
        "ExifIFD:FNumber": Reason.UNDEFINED,
        "ExifIFD:ApertureValue": Reason.FALLBACK_APEX,
    }
    assert value("exposure_time_s", ShutterSpeedValue=0.01) == 0.01
    assert value("f_number", FNumber=8, ApertureValue=2.8) == 8.0
    assert reasons({"ExifIFD:FNumber": 8, "ExifIFD:ApertureValue": 2.8}) == {
        "ExifIFD:ApertureValue": Reason.DISAGREES_WITH_APEX
    }
    # 1/3 EV is a factor of 2^(1/6) in the F-number and 2^(1/3) in the time.
    assert reasons({"ExifIFD:FNumber": 2.8, "ExifIFD:ApertureValue": 2.8 * 2 ** (1 / 6)}) == {}
    assert reasons({"ExifIFD:FNumber": 2.8, "ExifIFD:ApertureValue": 2.8 * 2 ** (0.36 / 2)}) != {}
    assert reasons({"ExifIFD:ExposureTime": 0.01, "ExifIFD:ShutterSpeedValue": 0.01 / 2 ** (1 / 3)}) == {}
    assert reasons({"ExifIFD:ExposureTime": 0.01, "ExifIFD:ShutterSpeedValue": 0.01 / 2**0.36}) != {}


def test_a_manual_lens_has_no_aperture() -> None:
    tags = {"ExifIFD:FNumber": "undef", "ExifIFD:ApertureValue": 1, "ExifIFD:MaxApertureValue": 1}
    row = normalise(tags | {"ExifIFD:FocalLength": 0}).row
    assert (row["f_number"], row["max_aperture_f_number"], row["focal_length_mm"]) == (None, None, None)


def test_digital_zoom_not_used_is_one() -> None:
    assert [value("digital_zoom_ratio", DigitalZoomRatio=raw) for raw in (0, "undef", 1, "inf")] == [
        1.0,
        1.0,
        1.0,
        None,
    ]


@pytest.mark.parametrize(
    ("code", "label"),
    [
        *((0, "not_fired"), (1, "fired"), (9, "fired"), (16, "not_fired"), (24, "not_fired"), (25, "fired_auto")),
        *((31, "fired_auto"), (32, "no_function"), (73, "fired"), (89, "fired_auto"), ("80", "not_fired")),
        *((0x21, None), (128, None), (-1, None), (1.5, None), ("Fired", None)),
    ],
)
def test_flash_has_four_classes(code: object, label: str | None) -> None:
    assert value("flash", Flash=code) == label


@pytest.mark.parametrize(
    ("column", "tag", "labels"),
    [
        ("metering_mode", "MeteringMode", {0: None, 1: "average", 5: "pattern", 6: "partial", 7: None, 255: "other"}),
        ("exposure_mode", "ExposureMode", {0: "auto", 1: "manual", 2: "bracket", 3: "other"}),
        ("white_balance", "WhiteBalance", {0: "auto", 1: "manual", 2: None}),
        ("scene_capture_type", "SceneCaptureType", {0: "standard", 3: "night", 4: "other", 20: "other"}),
        ("exposure_program", "ExposureProgram", {0: None, 1: "manual", 2: "program", 8: "landscape", 9: None}),
        ("light_source", "LightSource", {0: None, 4: "flash", 9: "fine_weather", 12: "daylight_fluorescent", 5: None}),
        ("light_source", "LightSource", {16: "warm_white_fluorescent", 17: "standard_a", 21: "d65", 23: "d50"}),
    ],
)
def test_codes(column: str, tag: str, labels: dict[int, str | None]) -> None:
    assert {code: value(column, **{tag: code}) for code in labels} == labels
    assert reasons({f"ExifIFD:{tag}": 250}) == {f"ExifIFD:{tag}": Reason.UNKNOWN_CODE}


@pytest.mark.parametrize(
    ("raw", "taken_at"),
    [
        ("2020:05:17 13:58:35", "2020-05-17 13:58:35"),
        ("2020:05:17 13:58:35.25+02:00", "2020-05-17 13:58:35"),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2020:02:30 00:00:00", None),
        ("1825:12:31 23:59:59", None),
        ("1826:01:01 00:00:00", "1826-01-01 00:00:00"),
        ("2101:01:01 00:00:00", None),
        ("yesterday 1", None),
        (20200517, None),
    ],
)
def test_taken_at_is_naive_text(raw: object, taken_at: str | None) -> None:
    assert value("taken_at", DateTimeOriginal=raw) == taken_at
    assert bool(reasons({"ExifIFD:DateTimeOriginal": raw})) == (taken_at is None)


def test_a_photograph_is_not_taken_after_it_was_written() -> None:
    taken: dict[str, object] = {"ExifIFD:DateTimeOriginal": "2020:05:17 13:58:35"}
    a_day_before = {"ExifIFD:CreateDate": "2020:05:16 13:58:35", "IFD0:ModifyDate": "2021:01:01 00:00:00"}
    assert reasons(taken | a_day_before) == {}
    tags = taken | {"ExifIFD:CreateDate": "2002:12:08 12:00:00", "IFD0:ModifyDate": "0000:00:00 00:00:00"}
    assert reasons(tags) == {"ExifIFD:CreateDate": Reason.TAKEN_AFTER_WRITTEN}
    assert normalise(tags).row["taken_at"] == "2020-05-17 13:58:35"


@pytest.mark.parametrize(
    ("make", "model", "focal", "equivalent", "zoom", "fits"),
    [
        ("Canon", "Canon EOS 5D Mark IV", 50, 50, None, True),
        ("Canon", "Canon EOS 5D Mark IV", 50, 75, None, False),
        ("Canon", "Canon EOS REBEL T5i", 18, 29, None, True),
        ("NIKON CORPORATION", "NIKON D90", 35, 52, None, True),
        ("NIKON CORPORATION", "NIKON D850", 35, 52, None, True),  # in DX mode
        ("NIKON CORPORATION", "NIKON D90", 35, 35, None, False),
        ("SONY", "ILCE-6000", 16, 24, None, True),
        ("OLYMPUS IMAGING CORP.", "E-P3", 14, 28, None, True),
        ("OLYMPUS IMAGING CORP.", "E-P3", 14, 14, None, False),
        ("Apple", "iPhone 11", 4.25, 26, None, True),
        ("Apple", "iPhone 11", 4.25, 85, 3.27, True),
        ("Apple", "iPhone 6s", 4.15, 74, None, False),
        ("nobody", "knows", 10, 4, None, False),
        (None, None, 1, 14, None, True),
    ],
)
def test_the_35mm_focal_length_agrees_with_a_crop_factor_that_the_camera_can_have(
    make: str | None, model: str | None, focal: float, equivalent: float, zoom: float | None, fits: bool
) -> None:
    tags: dict[str, object] = {"ExifIFD:FocalLength": focal, "ExifIFD:FocalLengthIn35mmFormat": equivalent}
    tags |= {"IFD0:Make": make, "IFD0:Model": model} if make else {}
    tags |= {"ExifIFD:DigitalZoomRatio": zoom} if zoom else {}
    found = {} if fits else {"ExifIFD:FocalLengthIn35mmFormat": Reason.DISAGREES_WITH_CROP_FACTOR}
    assert reasons(tags) == found
    assert normalise(tags).row["focal_length_35mm_mm"] == equivalent


@pytest.mark.parametrize(
    ("exif", "ifd0", "stored", "changed"),
    [
        ((4000, 3000), None, (4000, 3000), False),
        ((4000, 3000), None, (3000, 4000), False),
        ((4000, 3000), None, (2000, 1500), True),
        ((4000, 3000), (4032, 3024), (4000, 3000), False),
        (None, (4032, 3024), (4000, 3000), True),
        ((0, 0), None, (4000, 3000), None),
        (("undef", 3000), None, (4000, 3000), None),
        (None, None, (4000, 3000), None),
        ((4000, 3000), None, None, None),
    ],
)
def test_a_size_that_is_not_that_of_the_pixels_is_marked_apart_from_edits(
    exif: tuple[object, object] | None,
    ifd0: tuple[object, object] | None,
    stored: tuple[int, int] | None,
    changed: bool | None,
) -> None:
    tags: dict[str, object] = {}
    if exif is not None:
        tags |= {"ExifIFD:ExifImageWidth": exif[0], "ExifIFD:ExifImageHeight": exif[1]}
    if ifd0 is not None:
        tags |= {"IFD0:ImageWidth": ifd0[0], "IFD0:ImageHeight": ifd0[1]}
    row = normalise(tags, stored).row
    assert (row["resized_or_cropped"], row["edited"]) == (changed, False)


def test_orientation_and_software() -> None:
    rows = [normalise({"IFD0:Orientation": raw}).row["orientation"] for raw in (1, "8", 0, 9, 1.5, True)]
    assert rows == [1, 8, None, None, None, None]
    assert normalise({"IFD0:Software": " Ver.1.00 \0"}).row["software"] == "Ver.1.00"
    assert normalise({"IFD0:Software": SIMULATOR}).row["simulated"] is True
    assert normalise({"IFD0:Software": f"{SIMULATOR}0"}).row["simulated"] is False


def test_the_thumbnail_and_maker_notes_say_nothing() -> None:
    elsewhere: dict[str, object] = {
        "IFD1:Make": "Canon",
        "IFD1:Orientation": 6,
        "Nikon:WhiteBalance": 1,
        "Canon:ISO": 100,
    }
    assert normalise(elsewhere) == normalise({})


def test_makers_of_real_photographs_are_named_once() -> None:
    if not (CORPUS / "photos.csv").is_file():
        pytest.skip("the real photographs are not there")
    cameras = set()
    for table in ("photos.csv", "photos_more.csv", "originals.csv"):
        with (CORPUS / table).open(encoding="utf-8", newline="") as file:
            cameras |= {(line["make"], line["model"]) for line in csv.DictReader(file)}
    labels = {maker(make) for make, _ in cameras if make}
    assert {maker(label) for label in labels} == labels
    assert not [label for label in labels if {"corporation", "corp", "co", "ltd", "inc"} & set(label.split())]
    assert len(labels) < len({make for make, _ in cameras}) - 10
    assert not [
        (make, name) for make, name in cameras if make and model(name, maker(make)).startswith(f"{maker(make)} ")
    ]


def test_real_photographs_agree_with_their_table(capsys: pytest.CaptureFixture[str]) -> None:
    if not (CORPUS / "photos.csv").is_file():
        pytest.skip("the real photographs are not there")
    with (CORPUS / "photos.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))[:200]
    with ExifReader() as reader:
        records = reader.read([CORPUS / line["file"] for line in listed])
    filled = dict.fromkeys(normalise({}).row, 0)
    for line, record in zip(listed, records, strict=True):
        assert record.tags is not None
        found = normalise(record.tags)
        noted = {issue.tag for issue in found.issues}
        for spec in (*NUMBERS, ISO):
            listed_value, taken = line[spec.tag.partition(":")[2]], found.row[spec.column]
            if spec.tag not in noted and spec.column != "digital_zoom_ratio" and listed_value:
                assert taken == pytest.approx(float(listed_value), rel=1e-6)
        for code in CODES:
            listed_value, taken = line[code.tag.partition(":")[2]], found.row[code.column]
            assert taken == (code.labels.get(int(listed_value), code.other) if listed_value else None)
        for column, taken in found.row.items():
            filled[column] += taken is not None
    with capsys.disabled():
        print(f"\nfilled of {len(listed)}: {filled}")
    assert min(filled[column] for column in ("make", "model", "exposure_time_s", "iso", "f_number", "flash")) > 180
    assert filled["generator_mark"] == 0


def test_the_documentation_has_every_reason() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text[text.index("## Why an EXIF value") :].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [str(reason) for reason in Reason]
