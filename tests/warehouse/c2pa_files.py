"""C2PA manifests by hand: JUMBF boxes with CBOR and JSON in them, as files that were signed carry them."""

import struct
from pathlib import Path

from PIL import Image

NEWSCODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def manifest(claim: dict[str, object], actions: list[dict[str, object]], creative_work: bytes = b"{}") -> bytes:
    """A manifest store with one claim, one list of actions and one assertion about the work, in JSON."""
    return _superbox(
        b"c2pa",
        b"c2pa",
        _superbox(
            b"c2ma",
            b"urn:uuid:4711",
            _superbox(
                b"c2as",
                b"c2pa.assertions",
                _superbox(b"cbor", b"c2pa.actions", _box(b"cbor", _cbor({"actions": actions}))),
                _superbox(b"json", b"stds.schema-org.CreativeWork", _box(b"json", creative_work)),
            ),
            _superbox(b"c2cl", b"c2pa.claim", _box(b"cbor", _cbor(claim))),
        ),
    )


def empty_manifest() -> bytes:
    """A manifest store in which nothing is."""
    return _superbox(b"c2pa", b"c2pa")


def signed_jpeg(path: Path, store: bytes) -> Path:
    """A small JPEG with a manifest store in its APP11 segment."""
    segment = b"JP" + struct.pack(">HI", 1, 1) + store
    Image.new("RGB", (8, 8)).save(path)
    plain = path.read_bytes()
    path.write_bytes(plain[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(segment)) + segment + plain[2:])
    return path


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _superbox(kind: bytes, label: bytes, *content: bytes) -> bytes:
    description = kind + bytes.fromhex("0011 0010 8000 00AA00389B71") + b"\x03" + label + b"\0"
    return _box(b"jumb", _box(b"jumd", description) + b"".join(content))


def _cbor(value: object) -> bytes:
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(_cbor, value))
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(_cbor(key) + _cbor(item) for key, item in value.items())
    raise TypeError(value)


def _head(major: int, count: int) -> bytes:
    return bytes([major << 5 | count]) if count < 24 else bytes([major << 5 | 24, count])
