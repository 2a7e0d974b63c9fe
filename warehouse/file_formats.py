"""What a file is by its first bytes, whatever its name says: photographs, and what no camera writes.

Signatures belong here, and as much of TIFF as tells a raw file from a picture; sizes and identity belong to
`file_facts.py`. Nothing is decoded, and nothing a file says is followed further than a fixed number of steps.
"""

import struct
from collections.abc import Iterator

from warehouse.places import RefusedError

DECODED = frozenset({"AVIF", "HEIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP"})
"""Formats whose pixels are read, by the names Pillow has for them. Of the others, raw files and JXL, only EXIF is."""

_PHOTOGRAPHS = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\x0a", "JXL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (0, b"IIRO", "ORF"),
    (0, b"IIRS", "ORF"),
    (0, b"MMOR", "ORF"),
    (0, b"IIU\0", "RW2"),
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"FOVb", "X3F"),
    (0, b"\0MRM", "MRW"),
    (6, b"HEAPCCDR", "CRW"),
)
_NOT_PHOTOGRAPHS = (
    (0, b"GIF8", "GIF"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\x01\0", "icon"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska video"),
    (8, b"AVI LIST", "AVI video"),
)
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_BRANDS_BYTES = 256

_COMPRESSION, _PHOTOMETRIC, _MAKE, _SUB_IFDS, _DNG_VERSION = 0x103, 0x106, 0x10F, 0x14A, 0xC612
# Photometric interpretations and compressions that only raw files have: colour filter array and linear raw; Sony,
# Samsung, Nikon and Pentax.
_RAW_PHOTOMETRIC, _RAW_COMPRESSION = {32803, 34892}, {32767, 32769, 32770, 34713, 65535}
_RAW_OF_MAKER = {
    b"NIKON": "NEF",
    b"SONY": "ARW",
    b"PENTAX": "PEF",
    b"RICOH": "PEF",
    b"SAMSUNG": "SRW",
    b"HASSELBLAD": "3FR",
    b"PHASE ONE": "IIQ",
}
_MAX_IFDS, _MAX_ENTRIES = 16, 1024


def format_of(data: bytes) -> str:
    """The format of a photograph's bytes: a name of `DECODED` (an MPO is a JPEG here), JXL, or that of a raw file.

    Raises RefusedError `not_a_photograph_format` or `not_an_image`.
    """
    for start, signature, name in _PHOTOGRAPHS:
        if data.startswith(signature, start):
            return name
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_or_raw(data)
    if data[:4] in (b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _container(data)
    for start, signature, name in _NOT_PHOTOGRAPHS:
        if data.startswith(signature, start):
            raise _not_a_photograph(name)
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        raise _not_a_photograph("BMP")
    if b"<svg" in data[:1024].lower():
        raise _not_a_photograph("SVG")
    raise RefusedError("not_an_image", "its first bytes are those of no image format")


def _not_a_photograph(name: str) -> RefusedError:
    return RefusedError("not_a_photograph_format", f"{name} files do not come from cameras")


def _container(data: bytes) -> str:
    """The format of an ISO base media file by its brands: the major one, then those it is compatible with."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), _BRANDS_BYTES)]
    major, compatible = brands[:4], {brands[i : i + 4] for i in range(8, len(brands), 4)}
    if major == b"crx ":
        return "CR3"
    if major in _AVIF_BRANDS or (major in _HEIF_BRANDS and compatible & _AVIF_BRANDS):
        return "AVIF"
    if major in _HEIF_BRANDS or compatible & _HEIF_BRANDS:
        return "HEIF"
    raise _not_a_photograph("video")


def _tiff_or_raw(data: bytes) -> str:
    if data[8:10] == b"CR":
        return "CR2"
    if data[8:12] in (b"IIII", b"MMMM"):
        return "IIQ"
    maker, is_raw = b"", False
    for tags in _directories(data, "<" if data[:1] == b"I" else ">"):
        if _DNG_VERSION in tags:
            return "DNG"
        maker = maker or tags.get(_MAKE, b"")
        is_raw |= _short(data, tags, _PHOTOMETRIC) in _RAW_PHOTOMETRIC
        is_raw |= _short(data, tags, _COMPRESSION) in _RAW_COMPRESSION
    if not is_raw:
        return "TIFF"
    return next((name for make, name in _RAW_OF_MAKER.items() if maker.upper().startswith(make)), "RAW")


def _short(data: bytes, tags: dict[int, bytes], tag: int) -> int:
    return int.from_bytes(tags.get(tag, b"")[:2], "little" if data[:1] == b"I" else "big")


def _directories(data: bytes, order: str) -> Iterator[dict[int, bytes]]:
    """Values of the first directories of a TIFF by tag: the chain from the header, and what they name as SubIFDs.

    Each is looked at once and there are at most 16 of 1,024 entries, so that a loop or a long chain ends.
    """
    waiting, seen = [*struct.unpack_from(f"{order}I", data, 4)] if len(data) >= 8 else [], set[int]()
    while waiting and len(seen) < _MAX_IFDS:
        start = waiting.pop(0)
        if start in seen or not 8 <= start <= len(data) - 2:
            continue
        seen.add(start)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        tags: dict[int, bytes] = {}
        for number in range(min(count, _MAX_ENTRIES)):
            entry = data[start + 2 + 12 * number : start + 14 + 12 * number]
            if len(entry) < 12:
                break
            tag, kind, values = struct.unpack_from(f"{order}HHI", entry)
            size = min(values, 64) * {2: 1, 3: 2, 4: 4, 13: 4}.get(kind, 1)
            (offset,) = struct.unpack_from(f"{order}I", entry, 8)
            tags[tag] = entry[8 : 8 + size] if size <= 4 else data[offset : offset + size]
        following = data[start + 2 + 12 * count : start + 6 + 12 * count]
        found = tags.get(_SUB_IFDS, b"") + following
        waiting += struct.unpack(f"{order}{len(found) // 4}I", found[: len(found) // 4 * 4])
        yield tags
