"""Where photographs come from: a folder walked recursively, or a table of local files.

Listing a source and reading the first facts of a file (identity, format, size) belong here. EXIF belongs to
`exiftool.py`, pixels to the stages that need them.
"""

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from PIL import ExifTags, Image, UnidentifiedImageError

from warehouse.home import UserError
from warehouse.jpeg_facts import chroma_subsampling, jpeg_quality

FILE_COLUMNS = ("file", "uri", "url")
PHOTOGRAPH_FORMATS = frozenset({"AVIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP"})
MAX_BYTES = 512 * 1024 * 1024


class RefusedError(Exception):
    """A file that is not taken: a reason code and the reason in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Listed:
    """A file of a source: its uri (path below the source's folder), its group, and what tells that it changed.

    `size` and `modified_ns` are None where the file is not there.
    """

    uri: str
    group: str
    size: int | None
    modified_ns: int | None


@dataclass(frozen=True)
class Facts:
    """What the first look at a file tells: SHA-256, format by content, stored width and height in px, bytes.

    `jpeg_quality` and `chroma_subsampling` are as `jpeg_facts.py` has them, None where the file is no JPEG. `software`
    is what EXIF names as the program that wrote it (0x0131), None where it names none.
    """

    sha256: str
    format: str
    width: int
    height: int
    size: int
    jpeg_quality: int | None
    chroma_subsampling: str | None
    software: str | None


def source_folder(source: Path) -> Path:
    """The folder that uris of the source resolve against."""
    return source if source.is_dir() else source.parent


def read_table(source: Path) -> pl.DataFrame:
    """A table of files, every column as text. Raises UserError where it is no table or names no files."""
    try:
        if source.suffix.lower() == ".parquet":
            table = pl.read_parquet(source).cast(pl.String, strict=False)
        else:
            table = pl.read_csv(source, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{source}: not a table of files: {str(error).splitlines()[0]}") from None
    if not set(FILE_COLUMNS) & set(table.columns):
        raise UserError(f"{source}: has no column named {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]}")
    return table


def file_column(table: pl.DataFrame) -> str:
    """The column of a table that names the files."""
    return next(name for name in FILE_COLUMNS if name in table.columns)


def list_source(source: Path, *, corpus: str, group: str | None = None) -> list[Listed]:
    """All files of a source, sorted by uri, each once.

    The group is the table's column `group`; else the first folder below the root, else the file itself, both led by
    the name of the corpus so that folders of the same name in two corpora are two groups.
    Raises UserError where the source is not there, is no table, or has no such column.
    """
    if source.is_dir():
        if group is not None:
            raise UserError(f"{source} is a folder: a group column needs a table of files")
        return [_look(source, uri, _folder_group(corpus, uri)) for uri in sorted(walk(source))]
    if not source.is_file():
        raise UserError(f"{source}: no such file or folder")
    table = read_table(source)
    if group is not None and group not in table.columns:
        raise UserError(f"{source}: has no column {group!r}; columns are {', '.join(table.columns)}")
    uris = table[file_column(table)]
    groups = table[group] if group is not None else pl.Series([None] * len(table), dtype=pl.String)
    named = {uri: value for uri, value in zip(uris, groups, strict=True) if uri}
    return [_look(source.parent, uri, named[uri] or _folder_group(corpus, uri)) for uri in sorted(named)]


def read_bytes(folder: Path, uri: str) -> bytes:
    """The bytes of a listed file. Raises RefusedError where it is not to be read."""
    path = folder / uri
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("not_a_regular_file", "a folder, pipe, device or socket")
        if not path.resolve().is_relative_to(folder.resolve()) and path.is_symlink():
            raise RefusedError("outside_source", "a link that leads out of the source")
        if status.st_size > MAX_BYTES:
            raise RefusedError("too_large", f"{status.st_size} bytes; at most {MAX_BYTES} are read")
        if status.st_size == 0:
            raise RefusedError("empty", "0 bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise RefusedError("missing", "no such file") from None
    except (OSError, ValueError) as error:
        raise RefusedError("unreadable", getattr(error, "strerror", None) or str(error)) from None


def look(data: bytes) -> Facts:
    """Identity, format and stored size of a photograph's bytes. Raises RefusedError where they are no photograph."""
    try:
        # Odd headers and huge pictures are for the decoding stages to decide about.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            kind, (width, height) = image.format or "", image.size
            software = _software(image)
            quality, subsampling = jpeg_quality(image), chroma_subsampling(image)
    except UnidentifiedImageError:
        raise RefusedError("not_an_image", "no image format known to Pillow") from None
    except Image.DecompressionBombError as error:
        raise RefusedError("too_many_pixels", str(error)) from None
    except Exception as error:  # Pillow's format plug-ins raise whatever a broken header makes them stumble over
        raise RefusedError("broken_header", f"{type(error).__name__}: {error}"[:200]) from None
    if kind not in PHOTOGRAPH_FORMATS:
        raise RefusedError("not_a_photograph_format", f"{kind} files do not come from cameras")
    identity = hashlib.sha256(data).hexdigest()
    return Facts(identity, kind, width, height, len(data), quality, subsampling, software)


def _software(image: Image.Image) -> str | None:
    try:
        software = image.getexif().get(ExifTags.Base.Software)
    except Exception:  # broken EXIF makes Pillow raise nearly anything, and no picture worse
        return None
    return str(software) if software else None


def walk(root: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, in no order; linked folders are not followed."""
    for folder, _, names in walk_folders(root):
        for name in names:
            yield folder + name


def walk_folders(root: Path) -> Iterator[tuple[str, tuple[int, int], list[str]]]:
    """Every folder below a folder, and itself, in no order: its path, its inode and time of change, names of its files.

    The path is relative and ends in a slash, but for the folder itself, which is "". Linked folders are not followed
    and count as files.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        path = f"{root}/{folder}"
        # Before the entries are read: what comes later moves the time past this one.
        status = os.stat(path)  # noqa: PTH116 (a Path for each folder costs more than the call)
        names = []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}{entry.name}/")
                else:
                    names.append(entry.name)
        yield folder, (status.st_ino, status.st_mtime_ns), names


def _folder_group(corpus: str, uri: str) -> str:
    return f"{corpus}/{uri.split('/')[0]}"


def _look(folder: Path, uri: str, group: str) -> Listed:
    try:
        status = (folder / uri).stat()
    except (OSError, ValueError):
        return Listed(uri, group, None, None)
    return Listed(uri, group, status.st_size, status.st_mtime_ns)
