"""Two readers of EXIF on files where they agree, where one of them is blind, and where one cannot read at all."""

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from PIL import Image, TiffImagePlugin

from assets.checks import exif_readers_agree
from assets.corpus import photos
from assets.crawl import files
from assets.exif import exif
from assets.exif_raw import exif_raw
from assets.exif_second_opinion import exif_second_opinion
from assets.stage import Context
from warehouse.exif_pillow import TAGS, PillowError, PillowReader, agreement, pillow_tags
from warehouse.exif_rules import normalise
from warehouse.home import Home
from warehouse.shards import frame

ROOT = Path(__file__).parents[2]
RATIONAL = TiffImagePlugin.IFDRational


def camera_exif() -> Image.Exif:
    """EXIF with a value in every column that both readers know."""
    tags = Image.Exif()
    tags.update({0x010F: "NIKON CORPORATION", 0x0110: "NIKON D90", 0x0112: 6, 0x0131: "Ver.1.00"})
    numbers = {0x829A: RATIONAL(1, 3), 0x829D: RATIONAL(28, 10), 0x9204: RATIONAL(-1, 3), 0x9205: RATIONAL(3, 1)}
    numbers |= {0x920A: RATIONAL(35, 1), 0x9201: RATIONAL(158, 100), 0x9202: RATIONAL(297, 100)}
    numbers |= {0x9203: RATIONAL(5, 3), 0xA404: RATIONAL(0, 0)}
    codes = {0x8827: 200, 0x8822: 3, 0x9207: 5, 0x9208: 4, 0x9209: 9, 0xA402: 1, 0xA403: 1, 0xA405: 52, 0xA406: 2}
    tags.get_ifd(0x8769).update(numbers | codes | {0x9003: "2020:05:17 13:58:35"})
    return tags


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A home with a corpus of five files, crawled and read."""
    home, corpus = Home(tmp_path / "home"), tmp_path / "corpus"
    home.path.mkdir()
    corpus.mkdir()
    picture = Image.new("RGB", (8, 8))
    for name in ("a.jpg", "b.webp", "c.png"):
        picture.save(corpus / name, exif=camera_exif())
    picture.save(corpus / "d.png")
    chunk = b"eXIf" + camera_exif().tobytes().removeprefix(b"Exif\0\0")
    late = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    plain = (corpus / "d.png").read_bytes()
    (corpus / "d.png").write_bytes(plain[:-12] + late + plain[-12:])
    picture.save(corpus / "e.jpg", exif=camera_exif(), quality=10)
    home.registry.write_text(f"[compute]\nworkers = 1\n[corpora.mixed]\nsource = '{corpus}'\n")
    monkeypatch.setenv("SDAIE_HOME", str(home.path))
    files.materialise(Context(home, "mixed"))
    for stage in (photos, exif_raw, exif):
        stage.materialise(Context(home))
    (corpus / "e.jpg").unlink()
    exif_second_opinion.materialise(Context(home))
    return Context(home)


def test_what_both_read_agrees_and_what_one_reads_is_named(context: Context) -> None:
    store = context.store
    counts = {row["tag"]: row for row in store.read("exif_agreement").to_dicts()}
    assert set(counts) == set(TAGS)
    for row in counts.values():
        assert (row["compared"], row["agreed"], row["only_pillow"]) == (3, 3, 0), row
        assert row["only_exiftool"] == 1, row
    uris = store.read("photos", columns=["photo_id", "uri"])
    differing = store.read("exif_disagreements").join(uris, on="photo_id")
    assert set(differing["uri"]) == {"d.png"}  # Pillow would have to decode it to look behind the pixels
    assert differing["pillow"].null_count() == len(differing) == len(TAGS)
    failed = store.read("exif_pillow").join(uris, on="photo_id").filter(pl.col("failure").is_not_null())
    assert failed["uri"].to_list() == ["e.jpg"]  # gone meanwhile


def test_the_check_warns_and_names_the_photographs(context: Context) -> None:
    result = exif_readers_agree()
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    said = {name: entry.value for name, entry in result.metadata.items()}
    assert (said["photographs"], said["agreement of iso"]) == (1, 0.75)
    assert str(said["most"]).startswith("['mixed/d.png (brightness_ev, ")


def test_a_second_run_makes_the_same_tables(context: Context) -> None:
    before = {table: context.store.manifest(table) for table in exif_second_opinion.tables}
    assert exif_second_opinion.is_current(context)
    exif_second_opinion.materialise(Context(context.home, force=True))
    assert {table: context.store.manifest(table) for table in exif_second_opinion.tables} == before


def test_only_a_new_photograph_is_read_and_what_pillow_could_not_read(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = context.home.path.parent / "corpus"
    Image.new("RGB", (9, 9)).save(folder / "new.jpg", exif=camera_exif())
    files.materialise(Context(context.home, "mixed"))
    for stage in (photos, exif_raw, exif):
        stage.materialise(context)
    before = context.store.read("exif_pillow")
    Image.new("RGB", (8, 8)).save(folder / "e.jpg", exif=camera_exif(), quality=10)
    files.materialise(Context(context.home, "mixed"))
    for stage in (photos, exif_raw, exif):
        stage.materialise(context)
    asked: list[str] = []
    tags = PillowReader.tags

    def noted(reader: PillowReader, source: Path | bytes) -> Mapping[str, object]:
        asked.append(source.name if isinstance(source, Path) else "")
        return tags(reader, source)

    monkeypatch.setattr(PillowReader, "tags", noted)
    exif_second_opinion.materialise(context)
    assert sorted(asked) == ["e.jpg", "new.jpg"]
    after = context.store.read("exif_pillow")
    assert len(after) == len(before) + 1
    assert after["failure"].null_count() == len(after)


def test_values_are_printed_as_exiftool_prints_them() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=camera_exif())
    tags = pillow_tags(buffer.getvalue())
    assert tags["ExifIFD:DigitalZoomRatio"] == "undef"
    assert tags["ExifIFD:ExposureTime"] == pytest.approx(1 / 3)
    assert tags["ExifIFD:ApertureValue"] == pytest.approx(2 ** (2.97 / 2))
    assert tags["ExifIFD:ShutterSpeedValue"] == pytest.approx(2**-1.58)
    assert {column for column, value in normalise(tags).row.items() if value is None} & set(TAGS) == set()


def test_the_orientation_of_a_heif_file_is_that_of_its_exif() -> None:
    import pillow_heif

    buffer = io.BytesIO()
    exif = camera_exif()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(buffer, exif=exif.tobytes())
    assert exif[0x0112] == 6
    assert pillow_tags(buffer.getvalue())["IFD0:Orientation"] == 6


def test_the_orientation_of_xmp_is_not_that_of_exif() -> None:
    buffer = io.BytesIO()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description tiff:Orientation=\"6\"/></x:xmpmeta>"
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", xmp=xmp)
    assert pillow_tags(buffer.getvalue()) == {}


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"])
def test_a_file_that_pillow_cannot_read_is_an_outcome(data: bytes) -> None:
    with pytest.raises(PillowError, match=r"^not_(opened|read): \w+$"):
        pillow_tags(data)


def test_a_value_read_differently_is_a_disagreement_and_rounding_is_none() -> None:
    ours = frame("exif", [{"photo_id": "p", "iso": 100.0, "make": "canon", "exposure_time_s": 0.3333333333}])
    theirs = frame("exif_pillow", [{"photo_id": "p", "iso": 200.0, "make": "canon", "exposure_time_s": 1 / 3}])
    counts, differing = agreement(ours.select("photo_id", *TAGS), theirs)
    assert counts.filter(pl.col("compared") > pl.col("agreed"))["tag"].to_list() == ["iso"]
    assert counts["compared"].sum() == 3
    assert differing.rows() == [("p", "iso", "100.0", "200.0")]


def test_real_photographs_are_read_alike() -> None:
    originals = ROOT / "../shared/corpus/originals"
    if not originals.is_dir():
        pytest.skip("the real photographs are not there")
    outcomes = []
    for path in sorted(originals.iterdir()):
        try:
            pillow_tags(path)
            outcomes.append("read")
        except PillowError as error:
            outcomes.append(str(error))
    assert outcomes.count("read") >= 35
