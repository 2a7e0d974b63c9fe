import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from warehouse import exiftool_files
from warehouse.exif_privacy import is_private
from warehouse.exiftool import ExifReader
from warehouse.exiftool_process import ExifLimits, supported
from warehouse.home import UserError

SECRET = "Ada-Lovelace-4711"
XMP = f"""<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:aux='http://ns.adobe.com/exif/1.0/aux/' xmlns:dc='http://purl.org/dc/elements/1.1/'
 xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'
 aux:SerialNumber='{SECRET}' aux:OwnerName='{SECRET}' photoshop:City='{SECRET}' xmp:CreatorTool='darktable 3.2.1'>
<dc:creator><rdf:Seq><rdf:li>{SECRET}</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"""


def write_jpeg(path: Path, model: str = "Canon EOS 6D", comment: bytes = b"") -> Path:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B], exif[0x8298] = "Canon", model, SECRET, SECRET
    exif.get_ifd(0x8769).update({0x829D: 5.6, 0x8827: 400, 0xA430: SECRET, 0xA431: SECRET, 0xA435: SECRET})
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 11.0, 47.11), 3: "E", 4: (8.0, 4.0, 7.0)})
    with path.open("wb") as file:
        Image.new("RGB", (16, 16)).save(file, "JPEG", exif=exif, xmp=XMP.encode(), comment=comment)
    return path


def write_inflating_png(path: Path, inflated_bytes: int) -> Path:
    deflate = zlib.compressobj(1)
    text = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(inflated_bytes >> 20)) + deflate.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0\0"))
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + header + png_chunk(b"zTXt", b"Comment\0\0" + text) + pixels + png_chunk(b"IEND", b""))
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def box(kind: bytes, *parts: bytes, version: int | None = None) -> bytes:
    body = b"".join(parts) if version is None else struct.pack(">I", version << 24) + b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def write_heic_with_exif_at_the_end(path: Path, pixels: int) -> Path:
    """The item and the box that says where it lies both come after the pixels."""
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    item = bytes(4) + exif.tobytes().removeprefix(b"Exif\0\0")
    start = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    entry = box(b"infe", struct.pack(">HH4sx", 1, 0, b"Exif"), version=2)
    place = struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, len(start) + 8 + pixels, len(item))
    boxes = [
        box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
        box(b"iinf", struct.pack(">H", 1), entry, version=0),
        box(b"iloc", place, version=0),
    ]
    path.write_bytes(start + box(b"mdat", bytes(pixels), item) + box(b"meta", *boxes, version=0))
    return path


def exiftool_pids() -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "exiftool" in line]


def test_tags_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = [write_jpeg(tmp_path / f"{name}.jpg", model=f"model {name}") for name in "cabed"]
    with ExifReader() as reader:
        records = reader.read(paths)
        assert reader.read([]) == []
        assert supported(reader.version)
    assert [record.tags and record.tags["IFD0:Model"] for record in records] == [f"model {name}" for name in "cabed"]
    assert records[0].tags is not None
    assert (records[0].tags["ExifIFD:FNumber"], records[0].tags["ExifIFD:ISO"]) == (5.6, 400)
    assert exiftool_pids() == []


def test_private_tags_and_the_file_system_never_come_through(tmp_path: Path) -> None:
    path = write_jpeg(tmp_path / "a.jpg")
    printed = subprocess.run(["exiftool", "-j", "-G1", path], capture_output=True, text=True, check=True).stdout
    assert printed.count(SECRET) >= 8
    assert "GPS:GPSLatitude" in printed
    with ExifReader() as reader:
        [record] = reader.read([path])
    assert record.tags is not None
    assert SECRET not in str(record.tags)
    assert "GPS" not in str(record.tags)
    assert str(tmp_path) not in str(record.tags)
    assert {tag.partition(":")[0] for tag in record.tags}.isdisjoint({"System", "SourceFile", "ExifTool", "Composite"})
    assert record.tags["XMP-xmp:CreatorTool"] == "darktable 3.2.1"


def test_a_version_keeps_its_digits_and_no_number_is_infinite(tmp_path: Path) -> None:
    paths = [write_jpeg(tmp_path / f"{i}.jpg", model=model) for i, model in enumerate(("1.10", "1e999", "true", "450"))]
    with ExifReader() as reader:
        records = reader.read(paths)
    assert [record.tags and record.tags["IFD0:Model"] for record in records] == ["1.10", "1e999", True, 450]


@pytest.mark.parametrize(
    "name",
    [
        "a b.jpg",
        " lead and trail .jpg ",
        "-delete_original.jpg",
        "été-写真.jpg",
        "#c.jpg",
        "touch pwned|",
        "%d$x'\"`.jpg",
        "@args.jpg",
        "x\n-execute\n.jpg",
        "\t\x1b[2J.jpg",
        "a" * 251 + ".jpg",
    ],
)
def test_odd_names_are_only_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_jpeg(tmp_path / name, model=name)
    with ExifReader() as reader:
        [record] = reader.read([Path(name)])
    assert record.error is None
    assert record.tags is not None
    assert record.tags["IFD0:Make"] == "Canon"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_a_name_that_is_not_utf8_is_read(tmp_path: Path, by_descriptor: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exiftool_files, "BY_DESCRIPTOR", by_descriptor and exiftool_files.BY_DESCRIPTOR)
    path = write_jpeg(tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    with ExifReader() as reader:
        assert reader.read([path])[0].error is None


def test_without_descriptors_odd_names_are_only_names_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exiftool_files, "BY_DESCRIPTOR", False)
    monkeypatch.chdir(tmp_path)
    names = ["-delete_original.jpg", "#c.jpg", "touch pwned|", " a .jpg", "@args", "x\n-execute\n.jpg"]
    for name in names:
        write_jpeg(tmp_path / name)
    with ExifReader() as reader:
        records = reader.read([Path(name) for name in names])
    assert [record.error for record in records] == [None] * 5 + ["the file name holds control characters"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_what_is_printed_depends_on_the_content_alone(tmp_path: Path) -> None:
    data = write_jpeg(tmp_path / "a.jpg").read_bytes()
    paths = [tmp_path / name for name in ("a.nef", "a.txt", "a", "a.png")]
    for path in paths:
        path.write_bytes(data)
    with ExifReader() as reader:
        first, *others = reader.read([tmp_path / "a.jpg", *paths])
    assert first.tags is not None
    assert others == [first] * 4


def test_what_cannot_be_read_is_an_error_between_good_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "noise.jpg").write_bytes(bytes(range(256)))
    bad = [*(tmp_path / name for name in ("pipe.jpg", "absent.jpg", "empty.jpg", "noise.jpg")), tmp_path]
    good = [write_jpeg(tmp_path / f"{i}.jpg", model=f"model {i}") for i in range(len(bad))]
    with ExifReader() as reader:
        records = reader.read([path for pair in zip(good, bad, strict=True) for path in pair])
    models = [record.tags and record.tags["IFD0:Model"] for record in records[::2]]
    assert models == [f"model {i}" for i in range(len(bad))]
    assert all(record.tags is None and record.error for record in records[1::2])
    reasons = ["not_a_regular_file", "missing", "exiftool_failed", "exiftool_failed", "not_a_regular_file"]
    assert [record.reason for record in records[1::2]] == reasons
    assert not any(str(tmp_path) in str(record.error) or "/proc" in str(record.error) for record in records)


def test_a_cut_file_gives_a_warning_or_an_error_but_a_record(tmp_path: Path) -> None:
    whole = write_jpeg(tmp_path / "whole.jpg").read_bytes()
    paths = [tmp_path / f"{cut}.jpg" for cut in range(0, len(whole), max(1, len(whole) // 40))]
    for path in paths:
        path.write_bytes(whole[: int(path.stem)])
    with ExifReader() as reader:
        records = reader.read(paths)
    assert len(records) == len(paths)
    assert all((record.tags is None) == (record.error is not None) for record in records)
    assert any(record.warnings for record in records)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_file_that_takes_all_memory_is_the_only_one_lost(tmp_path: Path) -> None:
    good = [write_jpeg(tmp_path / f"{i}.jpg") for i in range(4)]
    bomb = write_inflating_png(tmp_path / "bomb.png", 256 << 20)
    with ExifReader(ExifLimits(memory_bytes=192 << 20)) as reader:
        records = reader.read([*good[:2], bomb, *good[2:]])
    assert [record.error is None for record in records] == [True, True, False, True, True]
    assert "memory" in str(records[2].error)


def test_exif_at_the_end_of_a_heic_and_png_text_after_the_pixels_are_read(tmp_path: Path) -> None:
    heic = write_heic_with_exif_at_the_end(tmp_path / "a.heic", pixels=100_000)
    png, late = tmp_path / "a.png", png_chunk(b"tEXt", b"Software\0late")
    Image.new("RGB", (8, 8)).save(png)
    data = png.read_bytes()
    png.write_bytes(data[:-12] + late + data[-12:])
    with ExifReader() as reader:
        first, second = reader.read([heic, png])
    assert first.tags is not None
    assert first.tags["IFD0:Make"] == "Canon"
    assert second.tags is not None
    assert second.tags["PNG:Software"] == "late"
    lost = subprocess.run(["exiftool", "-fast2", "-Make", "-Software", heic, png], capture_output=True, text=True)
    assert "Canon" not in lost.stdout
    assert "late" not in lost.stdout


def test_a_file_that_prints_too_much_is_the_only_one_lost(tmp_path: Path) -> None:
    talkative = write_jpeg(tmp_path / "talkative.jpg", comment=b"x" * 60_000)
    good = [write_jpeg(tmp_path / f"{i}.jpg") for i in range(3)]
    with ExifReader(ExifLimits(answer_bytes=20_000)) as reader:
        records = reader.read([good[0], talkative, *good[1:]])
    assert [record.error for record in records] == [None, "exiftool printed more than 20000 bytes", None, None]


def test_long_and_deep_metadata_give_tags_or_a_reason(tmp_path: Path) -> None:
    start, end = XMP.split("aux:SerialNumber")[0] + ">", "</rdf:Description></rdf:RDF></x:xmpmeta>"
    deep = "<dc:a><rdf:Description>" * 500 + "x" + "</rdf:Description></dc:a>" * 500
    long = "".join(f"<dc:b{number}>{'y' * 60_000}</dc:b{number}>" for number in range(100))
    paths = [tmp_path / "deep.xmp", tmp_path / "long.xmp", write_jpeg(tmp_path / "good.jpg")]
    for path, text in zip(paths, (deep, long), strict=False):
        path.write_text(start + text + end)
    with ExifReader() as reader:
        first, second, third = reader.read(paths)
    assert first.tags is not None
    assert second.error == "exiftool printed more than 4194304 bytes"
    assert third.tags is not None


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_a_process_that_dies_or_hangs_is_replaced(tmp_path: Path, blow: signal.Signals) -> None:
    paths = [write_jpeg(tmp_path / f"{i}.jpg") for i in range(3)]
    with ExifReader(ExifLimits(answer_s=2)) as reader:
        [before] = exiftool_pids()
        os.kill(before, blow)
        records = reader.read(paths)
        assert exiftool_pids() != [before]
    assert [record.error for record in records] == [None] * 3
    assert exiftool_pids() == []


def test_a_missing_exiftool_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(UserError, match=r"^exiftool is not installed: install it with .+$"),
        ExifReader(),
    ):
        pass


def test_an_exiftool_that_does_not_start_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "exiftool"
    script.write_text("#!/bin/sh\nread line\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(UserError, match=r"^exiftool does not start .+ install it with .+$"),
        ExifReader(),
    ):
        pass


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("12.38", True),
        ("12.57", True),
        ("13.00", True),
        ("12.37", False),
        ("11.99", False),
        ("", False),
        ("new", False),
    ],
)
def test_versions_that_run_file_names_are_refused(version: str, good: bool) -> None:
    assert supported(version) is good


def test_real_files_give_records_without_private_tags() -> None:
    originals = Path(__file__).parents[2] / "../shared/corpus/originals"
    if not originals.is_dir():
        pytest.skip("the real photographs are not there")
    with ExifReader() as reader:
        records = reader.read(sorted(originals.iterdir()))
    assert all(record.tags is not None and record.error is None for record in records)
    assert sum("IFD0:Make" in (record.tags or {}) for record in records) >= 30
    assert not [tag for record in records for tag in record.tags or {} if is_private(tag)]
