"""What the first look at a picture's bytes tells: identity, format by content, stored size.

Reading the header belongs here, and refusing what no camera writes; EXIF belongs to `exiftool.py`, pixels to the stages
that need them.
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import ExifTags, Image, UnidentifiedImageError

from warehouse.jpeg_facts import chroma_subsampling, jpeg_quality
from warehouse.places import RefusedError

PHOTOGRAPH_FORMATS = frozenset({"AVIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP"})


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


@contextmanager
def looking() -> Iterator[Callable[[bytes], Facts]]:
    """`look`, for many files of unknown origin."""
    yield look


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
