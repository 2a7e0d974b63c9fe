"""The files in a tar archive, one after the other as its bytes come, with the place where each one's bytes begin.

Walking headers belongs here; what the files are to a corpus belongs to `source_tar.py`. `tarfile` parses single
headers; it does not walk, because it keeps all headers in memory and reads an extended header of whatever size that
claims to have. Extended headers of pax and GNU are understood where they change a name or a size.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from warehouse.places import MAX_BYTES, RefusedError

BLOCK = tarfile.BLOCKSIZE
LONGEST_HEADER = 1024 * 1024
LARGEST = 1 << 60
"""Larger sizes are beyond what a file can be skipped through."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_DATALESS = {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE}
# Where a header of GNU's says that more of its map of holes follows, and where those that follow say so.
_SPARSE_MORE, _SPARSE_MORE_AGAIN = 482, 504


class Member(NamedTuple):
    """A file in an archive: its name there, where its bytes begin, how many there are, and they or why not."""

    name: str
    offset: int
    size: int
    data: bytes | RefusedError


def walk_tar(stream: BinaryIO) -> Iterator[Member]:
    """The files of an archive in order; folders are left out.

    A file that is a link or a device, has holes or is too large comes with the reason. Raises RefusedError where the
    archive cannot be read any further: `broken_tar`, `compressed`, `empty`, and what reading raises.
    """
    at = 0
    extended: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    while True:
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            if at == 0 and not block:
                raise RefusedError("empty", "0 bytes")
            if at == 0:
                _refuse_compressed(block)
            raise RefusedError("broken_tar", "the archive ends before its end mark")
        if block == bytes(BLOCK):
            return
        header = _header(block, first=at == 0)
        at += BLOCK
        if header.type in (*_PAX, _LONG_NAME, _LONG_LINK):
            if not 0 <= header.size <= LONGEST_HEADER:
                raise RefusedError("broken_tar", f"an extended header of {header.size} bytes")
            text = _data(stream, header.size)
            at += _padded(header.size)
            if header.type == _LONG_NAME:
                extended["path"] = text.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.type in _PAX:
                (everywhere if header.type == tarfile.XGLTYPE else extended).update(_records(text))
            continue
        extended = everywhere | extended
        size = _size(extended.get("size"), header.size)
        name = extended.get("GNU.sparse.name") or extended.get("path") or header.name
        sparse = header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in extended)
        extended = {}
        if header.type == tarfile.GNUTYPE_SPARSE:
            at += _skip_map(stream, block)
        if header.type in _DATALESS:
            if header.type != tarfile.DIRTYPE:
                yield Member(name, at, 0, RefusedError("not_a_regular_file", "a link, device or pipe in an archive"))
            continue
        offset = at
        at += _padded(size)
        if sparse or size > MAX_BYTES:
            stream.seek(_padded(size), 1)
            refused = RefusedError("too_large", f"{size} bytes; at most {MAX_BYTES} are read")
            if sparse:
                refused = RefusedError("sparse", "a file with holes in an archive")
            yield Member(name, offset, size, refused)
        else:
            yield Member(name, offset, size, _data(stream, size))


def _header(block: bytes, *, first: bool) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError) as error:
        if first:
            _refuse_compressed(block)
        raise RefusedError("broken_tar", f"no header of a tar archive: {error}") from None
    return header


def _refuse_compressed(start: bytes) -> None:
    """Asked only of what is no header: a name may begin as a compressed file does."""
    kind = next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), None)
    if kind:
        detail = f"an archive packed with {kind}: its pictures cannot be read alone; unpack it to .tar"
        raise RefusedError("compressed", detail) from None


def _data(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    padding = _padded(size) - size
    if len(data) < size or len(stream.read(padding)) < padding:
        raise RefusedError("broken_tar", "the archive ends within a file")
    return data


def _skip_map(stream: BinaryIO, header: bytes) -> int:
    """Read over the rest of a map of holes; how many bytes that was."""
    skipped, more = 0, header[_SPARSE_MORE]
    while more:
        block = _data(stream, BLOCK)
        skipped, more = skipped + BLOCK, block[_SPARSE_MORE_AGAIN]
    return skipped


def _records(text: bytes) -> dict[str, str]:
    """The records `LENGTH KEYWORD=VALUE` of an extended header."""
    records, at = {}, 0
    while at < len(text) and text[at] != 0:
        digits, space, _ = text[at : at + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        if not len(digits) + 1 < length <= len(text) - at:
            raise RefusedError("broken_tar", "an extended header that cannot be understood")
        keyword, equals, value = text[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals:
            raise RefusedError("broken_tar", "an extended header that cannot be understood")
        records[keyword.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += length
    return records


def _size(extended: str | None, size: int) -> int:
    if extended is not None:
        if not (extended.isascii() and extended.isdigit() and len(extended) < 20):
            raise RefusedError("broken_tar", "an extended header that cannot be understood")
        size = int(extended)
    if not 0 <= size <= LARGEST:
        raise RefusedError("broken_tar", f"a file of {size} bytes")
    return size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
