import io
import struct

import pytest
from PIL import Image

from warehouse.file_formats import format_of
from warehouse.places import RefusedError


def tiff(*directories: dict[int, tuple[int, int, int]], order: str = "<", following: int = 0) -> bytes:
    """A TIFF of directories in a chain, {tag: (type, count, value)}; the last one leads to the offset `following`."""
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    for number, entries in enumerate(directories):
        end = len(data) + 2 + 12 * len(entries) + 4
        data += struct.pack(f"{order}H", len(entries))
        for tag, (kind, count, value) in sorted(entries.items()):
            packed = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
            data += struct.pack(f"{order}HHI", tag, kind, count) + packed
        data += struct.pack(f"{order}I", end if number + 1 < len(directories) else following)
    return data


def box(*brands: bytes) -> bytes:
    return struct.pack(">I", 8 + 4 * (len(brands) + 1)) + b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])


CFA = {0x106: (3, 1, 32803)}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe1", "JPEG"),
        (b"\xff\x0a\x00", "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
        (b"IIRO\x08\0\0\0", "ORF"),
        (b"IIU\0\x08\0\0\0", "RW2"),
        (b"FUJIFILMCCD-RAW 0201", "RAF"),
        (b"FOVb\0\0", "X3F"),
        (b"\0MRM\0\0", "MRW"),
        (b"II*\0\x10\0\0\0CR\x02\0", "CR2"),
        (box(b"crx ", b"crx ", b"isom"), "CR3"),
        (box(b"heic", b"mif1", b"heic"), "HEIF"),
        (box(b"mif1", b"heix"), "HEIF"),
        (box(b"mif1", b"avif"), "AVIF"),
        (box(b"avif", b"mif1"), "AVIF"),
        (tiff({0x100: (3, 1, 5)}), "TIFF"),
        (tiff({0xC612: (1, 4, 0x104)}), "DNG"),
        (tiff({0x100: (3, 1, 5)}, {0xC612: (1, 4, 0x104)}), "DNG"),
        (tiff(CFA), "RAW"),
        (tiff(CFA, order=">"), "RAW"),
        (tiff({0x14A: (4, 1, 26)}, CFA), "RAW"),
        (tiff({0x103: (3, 1, 34713), 0x10F: (2, 18, 38)}) + b"\0" * 0 + b"NIKON CORPORATION\0", "NEF"),
        (tiff({0x103: (3, 1, 32767), 0x10F: (2, 5, 38)}) + b"SONY\0", "ARW"),
    ],
)
def test_a_photograph_is_known_by_its_bytes(data: bytes, name: str) -> None:
    assert format_of(data) == name


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a",
        b"%PDF-1.7",
        b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0",
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">',
        box(b"isom", b"mp42"),
        box(b"qt  "),
        b"\0\0\0\x0cjP  \r\n\x87\n",
    ],
)
def test_what_cameras_do_not_write_is_refused_by_its_bytes(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        format_of(data)
    assert caught.value.reason == "not_a_photograph_format"


@pytest.mark.parametrize("data", [b"", b"\xff", b"dear diary", b"\0" * 100, b"RIFF\0\0\0\0WAVE"])
def test_other_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        format_of(data)
    assert caught.value.reason == "not_an_image"


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"MM\0*\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        tiff({0x100: (3, 1, 5)}, following=8),
        tiff({0x14A: (4, 1, 8)}),
        tiff({0x14A: (4, 0xFFFFFFFF, 8)}),
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 100_000,
        tiff(*[{0x100: (3, 1, 5)}] * 1000),
    ],
)
def test_a_tiff_that_lies_about_its_directories_is_looked_at_in_bounded_steps(data: bytes) -> None:
    assert format_of(data) == "TIFF"


def test_every_cut_of_a_tiff_has_a_format() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "TIFF")
    data = buffer.getvalue()
    assert {format_of(data[:length]) for length in range(4, len(data))} == {"TIFF"}
