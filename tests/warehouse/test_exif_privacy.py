"""Nothing about a person reaches a table: marked values are planted wherever exiftool can write, and looked for."""

import json
import re
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from assets.exif_second_opinion import read_with_pillow
from tests.warehouse.c2pa_files import manifest, signed_jpeg
from warehouse.exif_privacy import ingested
from warehouse.exif_rules import normalise
from warehouse.exif_values import GENERATION_TEXT, Reason
from warehouse.exiftool import ExifReader
from warehouse.places import Place
from warehouse.shards import frame
from warehouse.source_folder import FolderSource
from warehouse.store import Store

ORIGINALS = Path(__file__).parents[2] / "../shared/corpus/originals"
GROUPS = ("EXIF", "GPS", "IPTC", "XMP", "PNG", "Photoshop", "MakerNotes", "QuickTime")
# Whole blocks, and what exiftool knows maker notes by.
NOT_PLANTED = re.compile(
    r"(EXIF|MakerNotes|XMP|QuickTime|Photoshop):(MakerNote\w*|ApplicationNotes|XMP|Make|Model|\w*Data)"
)
# Names of tags that programs and cameras fill with the names of programs, cameras, lenses and modes. A person's name
# cannot be told from a maker's where every file has the name of its camera.
PROGRAMS = re.compile(
    r"(XMP-\w+|IFD\d|ExifIFD|SubIFD|InteropIFD|IPTC|PNG|Photoshop):(Make|Model|(Processing|Capture|Stitching)?Software"
    r"|CreatorTool|Lens(Make|Model|Info)?|Format|(Unique|Localized)CameraModel|ProjectionType|(Reader|Writer)Name"
    r"|History(Action|SoftwareAgent)|OriginatingProgram|ProgramVersion|WhiteBalance|BandName|XMPToolkit"
    r"|Interop(erability)?Index|DirectoryItem(Mime|Semantic)|Components(Configuration)?|Compression)"
    r"|Canon:Canon(FirmwareVersion|ImageType)|Nikon:NikonCaptureVersion"
)
NUMBER = "123457"


def plant(paths: list[Path], names: list[str]) -> None:
    """Write a marked value into every one of these tags that a file takes, and a marked number into some."""
    marked = [f"-{name}=PRIVATE-{name}" for name in names if NOT_PLANTED.fullmatch(name) is None]
    numbers = [
        *("GPS:GPSLatitude", "GPS:GPSLongitude", "XMP-exif:GPSLatitude", "XMP-exif:GPSLongitude", "GPS:GPSAltitude"),
        *("ExifIFD:SerialNumber", "ExifIFD:LensSerialNumber", "XMP-aux:SerialNumber", "Canon:SerialNumber"),
        *("Nikon:SerialNumber", "IPTC:Keywords", "XMP-dc:Subject", "XMP-iptcCore:CreatorWorkTelephone", "IFD0:Artist"),
        *("ExifIFD:ImageUniqueID", "IFD0:XPKeywords", "PNG:Comment", "ExifIFD:UserComment", "IFD0:CameraSerialNumber"),
    ]
    arguments = ["-m", "-n", "-overwrite_original", *marked, *(f"-{name}=47.{NUMBER}" for name in numbers)]
    subprocess.run(
        ["exiftool", "-@", "-", *paths], input="\n".join(arguments), text=True, capture_output=True, check=False
    )


def writable() -> list[str]:
    """All names of tags that exiftool can write, by group."""
    listed = {
        group: subprocess.run(["exiftool", "-listw", f"-{group}:all"], capture_output=True, text=True, check=True)
        for group in GROUPS
    }
    return [f"{group}:{name}" for group, said in listed.items() for name in said.stdout.partition("\n")[2].split()]


def pictures(folder: Path) -> list[Path]:
    """A small file of each kind, and real ones with maker notes where they are there."""
    paths = [folder / name for name in ("a.jpg", "a.png", "a.tif", "a.webp")]
    for path in paths:
        Image.new("RGB", (16, 16)).save(path)
    if ORIGINALS.is_dir():
        names = ("997c0bd5855ff807.jpg", "755a63652695d7e1.webp", "e77bbb92482f681f.heic", "11ca8ae9a2541cfe.jpg")
        for name in names:
            paths.append(folder / name)
            paths[-1].write_bytes((ORIGINALS / name).read_bytes())
    return paths


def tables_of(folder: Path, paths: list[Path]) -> str:
    """All that the tables about EXIF hold of some files, read back from Parquet; the bytes as they are, too."""
    store = Store(folder)
    with ExifReader() as reader:
        records = reader.read(paths)
    raw, rows, issues = [], [], []
    for path, record in zip(paths, records, strict=True):
        tags = json.dumps(record.tags)
        raw.append({"photo_id": path.name, "tags": tags, "warnings": "\n".join(record.warnings)})
        found = normalise(json.loads(tags))
        rows.append({"photo_id": path.name, **found.row})
        issues += [
            {"photo_id": path.name, "tag": i.tag, "reason": i.reason, "raw_value": i.raw_value} for i in found.issues
        ]
    places = tuple(Place(path.name, "folder", path.name) for path in paths)
    seconds, _ = read_with_pillow({"folder": FolderSource(paths[0].parent, "")}, places)
    held = []
    for table, content in (("exif_raw", raw), ("exif", rows), ("exif_issues", issues), ("exif_pillow", seconds)):
        store.write(table, frame(table, content))
        for file in store.paths(table):
            held += [file.read_bytes().decode("latin-1"), json.dumps(pq.read_table(file).to_pylist(), default=str)]
    return "\n".join(held)


def leaks(paths: list[Path]) -> tuple[int, set[str]]:
    """How many marked values are in the files, and the tags of those that exiftool's reader lets through."""
    said = subprocess.run(
        ["exiftool", "-json", "-n", "-G1", *paths], capture_output=True, text=True, check=False
    ).stdout
    with ExifReader() as reader:
        records = reader.read(paths)
    found = {
        tag
        for record in records
        for tag, value in (record.tags or {}).items()
        if "PRIVATE" in str(value) or NUMBER in str(value)
    }
    return said.count("PRIVATE"), found


@pytest.mark.slow
def test_what_is_planted_in_every_tag_that_exiftool_writes_reaches_no_table(tmp_path: Path) -> None:
    paths = pictures(tmp_path)
    plant(paths, writable())
    planted, through = leaks(paths)
    assert planted > 5000
    assert not [tag for tag in through if PROGRAMS.fullmatch(tag) is None]
    held = tables_of(tmp_path / "tables", paths)
    assert NUMBER not in held
    names = {mark.rpartition(":")[2] for mark in re.findall(r"PRIVATE-[\w:-]+", held)}
    groups = ("XMP-x", "Canon", "Nikon")
    assert not [name for name in names if not any(PROGRAMS.fullmatch(f"{group}:{name}") for group in groups)]


def test_owners_places_and_words_reach_no_table(tmp_path: Path) -> None:
    names = (
        "EXIF:Artist EXIF:Copyright EXIF:ImageDescription EXIF:UserComment EXIF:OwnerName EXIF:XPAuthor "
        "EXIF:CameraLabel EXIF:DocumentName EXIF:HostComputer EXIF:RelatedSoundFile EXIF:SpectralSensitivity "
        "XMP-exif:UserComment IPTC:By-line "
        "IPTC:City IPTC:Keywords IPTC:Caption-Abstract IPTC:Source XMP-dc:Creator XMP-dc:Subject "
        "XMP-dc:Description XMP-mwg-rs:RegionName XMP-iptcExt:PersonInImage XMP-photoshop:City XMP-xmpMM:DocumentID "
        "XMP-lr:HierarchicalSubject XMP-xmpMM:HistoryParameters XMP-xmpMM:DerivedFromFilePath PNG:Author PNG:Title"
    )
    paths = pictures(tmp_path)[:3]
    plant(paths, names.split())
    planted, through = leaks(paths)
    assert planted > 60
    assert not through
    held = tables_of(tmp_path / "tables", paths)
    assert "PRIVATE" not in held
    assert NUMBER not in held


@pytest.mark.parametrize(
    "text",
    [
        *(
            "C:\\Users\\Jane\\a.psd",
            "/home/jane/darktable",
            "/Users/jane/Pictures",
            "jane@example.org",
            "file:///srv/x",
        ),
        "https://example.org/jane",
    ],
)
def test_paths_and_addresses_are_withheld_wherever_they_stand(text: str) -> None:
    kept = ingested({"IFD0:Software": text, "Canon:CanonImageType": text, "XMP-xmp:CreatorTool": f"GIMP {text}"})
    assert kept == {"IFD0:Software": f"(text of {len(text)} characters)"}
    found = normalise(kept)
    assert found.row["software"] is None
    assert [(issue.tag, issue.reason) for issue in found.issues] == [("IFD0:Software", Reason.WITHHELD)]


def test_words_where_a_number_is_due_leave_their_length_alone() -> None:
    kept = ingested({"ExifIFD:ISO": "Jane Doe", "ExifIFD:FNumber": "f/2.8", "ExifIFD:DateTimeOriginal": "at Jane's"})
    issues = {(issue.tag, issue.reason, issue.raw_value) for issue in normalise(kept).issues}
    assert issues == {
        ("ExifIFD:ISO", Reason.WITHHELD, "(text of 8 characters)"),
        ("ExifIFD:FNumber", Reason.NOT_A_NUMBER, "f/2.8"),
        ("ExifIFD:DateTimeOriginal", Reason.WITHHELD, "(text of 9 characters)"),
    }


def test_of_a_prompt_only_the_fact_is_kept(tmp_path: Path) -> None:
    prompt = "Jane Doe at the sea\nSteps: 20, Sampler: Euler a"
    text = PngInfo()
    text.add_text("parameters", prompt)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x010F] = 'workflow:{"title": "Jane Doe"}'
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + prompt.encode()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    held = tables_of(tmp_path / "tables", [tmp_path / "a.png", tmp_path / "a.webp"])
    assert "Jane" not in held
    assert "IFD0:Make: generation parameters" in held
    assert "ExifIFD:UserComment: generation parameters" in held
    assert "PNG text parameters" in held


def test_of_a_manifest_the_programs_are_kept_and_not_who_made_it(tmp_path: Path) -> None:
    claim: dict[str, object] = {
        "claim_generator": "Firefly/1.0",
        "dc:title": "Jane Doe.jpg",
        "instanceID": "xmp:iid:Jane",
    }
    action: dict[str, object] = {"action": "c2pa.created", "softwareAgent": "Adobe Firefly", "description": "for Jane"}
    work = b'{"author": [{"@type": "Person", "name": "Jane Doe"}]}'
    held = tables_of(tmp_path / "tables", [signed_jpeg(tmp_path / "a.jpg", manifest(claim, [action], work))])
    assert "Firefly/1.0" in held
    assert "Jane" not in held


def test_ingesting_twice_is_ingesting_once() -> None:
    tags = {"IFD0:Software": "/home/jane", "PNG:Prompt": "a cat", "ExifIFD:ISO": ["Jane"], "IFD0:Make": "Canon"}
    assert ingested(ingested(tags)) == ingested(tags)
    assert ingested(tags)["PNG:Prompt"] == GENERATION_TEXT
