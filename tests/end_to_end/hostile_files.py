"""Files that mean harm, from a seed: mutants of photographs, bombs, and names and entries that no camera makes.

The photographs that mutants are made of are written here, one of each format with EXIF, and can be joined by real ones.
"""

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, PngImagePlugin

SIDE = 272


def photographs() -> dict[str, bytes]:
    """One photograph of each format, 272 px wide and high, with EXIF: by the suffix of its name."""
    noise = np.random.default_rng(0).integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
    image = Image.fromarray(noise + np.arange(SIDE, dtype=np.uint8).reshape(-1, 1, 1) // 2)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Acme", "One", 6
    exif.get_ifd(0x8769).update({0x829A: 0.008, 0x829D: 2.8, 0x8827: 200, 0x9003: "2024:05:06 07:08:09"})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "words " * 300, zip=True)
    found = {
        "jpg": _saved(image, "JPEG", exif=exif, icc_profile=b"\0" * 400),
        "progressive.jpg": _saved(image, "JPEG", exif=exif, progressive=True, subsampling="4:4:4"),
        "png": _saved(image, "PNG", exif=exif, pnginfo=text, icc_profile=b"\0" * 400),
        "grey16.png": _saved(Image.fromarray(noise[..., 0].astype(np.uint16) * 256), "PNG"),
        "tif": _saved(image, "TIFF", exif=exif),
        "lzw.tif": _saved(image, "TIFF", exif=exif, compression="tiff_lzw"),
        "webp": _saved(image, "WEBP", exif=exif),
        "avif": _saved(image, "AVIF", exif=exif, speed=10),
        "mpo": _saved(image, "MPO", exif=exif, save_all=True, append_images=[image]),
    }
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, exif=exif.tobytes())
    # An uncompressed TIFF that says of itself that it is a DNG: its last directory entry becomes DNGVersion.
    raw = bytearray(found["tif"])
    (directory,) = struct.unpack_from("<I", raw, 4)
    (entries,) = struct.unpack_from("<H", raw, directory)
    struct.pack_into("<HHIBBBB", raw, directory + 2 + 12 * (entries - 1), 0xC612, 1, 4, 1, 4, 0, 0)
    return found | {"heic": buffer.getvalue(), "dng": bytes(raw)}


def mutants(originals: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files, name and bytes: every kind of damage to every original in turn."""
    chance = random.Random(seed)
    names = sorted(originals)
    for number in range(count):
        name = names[number % len(names)]
        damage = _DAMAGES[number // len(names) % len(_DAMAGES)]
        yield f"{number:04}.{damage.__name__.strip('_')}.{name}", bytes(damage(bytearray(originals[name]), chance))


def _truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def _flip_in_header(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(min(len(data), 600))] ^= 1 << chance.randrange(8)
    return data


def _flip_anywhere(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 64)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _length(data: bytearray, chance: random.Random) -> bytearray:
    """A field of 2 or 4 bytes becomes an extreme, of either byte order."""
    size = chance.choice((2, 4))
    place = chance.randrange(4, min(len(data) - size, 600))
    extremes = (0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1), (1 << 8 * size - 1) - 1, len(data) & 0xFFFF)
    data[place : place + size] = chance.choice(extremes).to_bytes(size, chance.choice(("little", "big")))
    return data


def _offset(data: bytearray, chance: random.Random) -> bytearray:
    """Each field in the header that may be an offset leads past the end or back to the start, by chance."""
    for place in range(8, min(len(data) - 4, 400), 4):
        if chance.random() < 0.05:
            struct.pack_into(chance.choice("<>") + "I", data, place, chance.choice((8, len(data) + 1, 0xFFFFFFF0)))
    return data


def _cut_out(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 400)]
    return data


def _repeat(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(4, 400)]
    return data[:start] + piece * chance.randint(2, 50) + data[start:]


def _zeros(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(4, 2000)]
    data[start : start + len(piece)] = chance.choice((b"\0", b"\xff")) * len(piece)
    return data


_DAMAGES = (_truncate, _flip_in_header, _flip_anywhere, _length, _offset, _cut_out, _repeat, _zeros)


def bombs() -> dict[str, bytes]:
    """Small files that ask for much: pixels, memory, directories without end."""
    sizes = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    just_allowed = struct.pack(">IIBBBBB", 10_900, 10_900, 8, 2, 0, 0, 0)
    small = struct.pack(">IIBBBBB", 300, 300, 8, 2, 0, 0, 0)
    zeros = zlib.compress(bytes(100 << 20), 9)
    loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x100, 4, 1, 300, 8)
    jpeg = photographs()["jpg"]
    frame = jpeg.index(b"\xff\xc0")
    return {
        "gigapixel.png": _png((b"IHDR", sizes), (b"IDAT", zeros)),
        "megapixels.png": _png((b"IHDR", just_allowed), (b"IDAT", zlib.compress(bytes(10_900 * (1 + 3 * 10_900)), 9))),
        "ztxt.png": _png((b"IHDR", small), (b"zTXt", b"Comment\0\0" + zeros), (b"IDAT", zeros)),
        "itxt.png": _png((b"IHDR", small), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros), (b"IDAT", zeros)),
        "iccp.png": _png((b"IHDR", small), (b"iCCP", b"profile\0\0" + zeros), (b"IDAT", zeros)),
        "exif.png": _png((b"IHDR", small), (b"eXIf", loop), (b"IDAT", zeros)),
        "chunks.png": _png((b"IHDR", small), *[(b"tEXt", b"a\0b")] * 20_000, (b"IDAT", zeros)),
        "length.png": b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIHDR" + small,
        "gigapixel.jpg": jpeg[: frame + 5] + b"\xff\xff\xff\xff" + jpeg[frame + 9 :],
        "loop.tif": loop,
        "chain.tif": b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, 14 + 6 * i) for i in range(20_000)),
        "entries.tif": b"II*\0\x08\0\0\0\xff\xff"
        + struct.pack("<HHII", 0x10F, 2, 1 << 20, 10) * 65535
        + bytes(4 << 20),
        "strips.tif": _gigapixel_tiff(),
        "loop.jpg": jpeg[:2] + _segment(b"Exif\0\0" + loop) + jpeg[2:],
        "xmp.jpg": jpeg[:2] + _segment(b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 20_000) + jpeg[2:],
        "zeros.jpg": bytes(1 << 20),
        "zeros.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(1 << 16),
        "boxes.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\xff\xffmeta\0\0\0\0" * 5_000,
        "perl.jpg": jpeg + b"\n-execute\n-o\n/tmp/sdaie-written\n",
        "0.jpg": b"",
    }


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    )


def _segment(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def _gigapixel_tiff() -> bytes:
    tags = {0x100: 60_000, 0x101: 60_000, 0x102: 8, 0x103: 1, 0x106: 1, 0x111: 200, 0x115: 1, 0x116: 60_000, 0x117: 99}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(400)


HOSTILE_NAMES = (
    b"new\nline.jpg",
    b"carriage\rreturn.jpg",
    b"-leading.jpg",
    b"--help",
    b"-execute",
    b"@file.jpg",
    b"pipe|",
    b"|touch written.jpg",
    b"`touch written`.jpg",
    b"$(touch written).jpg",
    b'"quoted".jpg',
    b"it's.jpg",
    b"semi;colon&and.jpg",
    b" spaces .jpg",
    b"bell\x07escape\x1b[31m.jpg",
    b"delete\x7f.jpg",
    b"not utf-8 \xff\xfe.jpg",
    b"surrogate \xed\xa0\x80.jpg",
    b"%s%n%d.jpg",
    b"#comment.jpg",
    b"back\\slash.jpg",
    b"*.jpg",
    b"[1].jpg",
    b"~.jpg",
    "üñí—測試.jpg".encode(),
    b"right-to-left \xe2\x80\xaegpj.exe",
    b"n" * 251 + b".jpg",
)
"""Names of files, as bytes; 255 of them at most."""


def write_names(folder: Path, photograph: bytes) -> int:
    """A photograph under each hostile name, each with a byte of its own behind it; how many there are."""
    for number, name in enumerate(HOSTILE_NAMES):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 (names that are no text)
            file.write(photograph + bytes([number]))
    return len(HOSTILE_NAMES)


def write_entries(folder: Path, photograph: bytes) -> int:
    """Entries that are no regular files, or may not be read; how many of them a listing has."""
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)  # a socket's path may have 107 bytes only
        listening.bind("socket.jpg")
        os.chdir(before)
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.jpg").write_bytes(photograph + b"inside")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "itself.jpg").symlink_to("itself.jpg")
    (folder / "out.jpg").symlink_to("/etc/passwd")
    (folder / "around").symlink_to(folder)
    (folder / "locked.jpg").write_bytes(photograph + b"locked")
    (folder / "locked.jpg").chmod(0)
    listed = 8
    if os.geteuid() == 0:
        try:
            os.mknod(folder / "zero.jpg", 0o20666, os.makedev(1, 5))
        except PermissionError:
            return listed
        listed += 1
    return listed


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
