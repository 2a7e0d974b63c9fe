"""What the first look at a picture's bytes tells: identity, format by content, stored size.

Reading the header belongs here, and refusing what no camera writes; EXIF belongs to `exiftool.py`, pixels to the stages
that need them.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cache

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from warehouse.file_formats import DECODED, format_of
from warehouse.guarded import Guarded, Limits
from warehouse.jpeg_facts import chroma_subsampling, jpeg_quality
from warehouse.places import MAX_BYTES, RefusedError

LIMITS = Limits(seconds=30, memory_bytes=MAX_BYTES + (256 << 20))
"""Headers cost milliseconds and little memory beside the file itself."""


@dataclass(frozen=True)
class Facts:
    """What the first look at a file tells: SHA-256, format by content, stored width and height in px, bytes.

    Width and height are None where pixels are not read: raw files and JPEG XL, whose EXIF is. A HEIF picture is turned
    and cut as its container says, which is part of decoding it; the EXIF orientation is not applied to any.
    `jpeg_quality` and `chroma_subsampling` are as `jpeg_facts.py` has them, None where the file is no JPEG. `software`
    is what EXIF names as the program that wrote it (0x0131), None where it names none.
    """

    sha256: str
    format: str
    width: int | None
    height: int | None
    size: int
    jpeg_quality: int | None
    chroma_subsampling: str | None
    software: str | None


def looking() -> Guarded[Facts]:
    """`look` in a guarded process, for many files of unknown origin."""
    return Guarded(look, LIMITS)


def look(data: bytes) -> Facts:
    """Identity, format and stored size of a photograph's bytes. Raises RefusedError where they are no photograph."""
    kind = format_of(data)
    width = height = quality = None
    software = subsampling = None
    if kind in DECODED:
        prepare_pillow()
        try:
            # Odd headers and huge pictures are for the decoding stages to decide about.
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=[kind]) as image:
                kind, (width, height) = image.format or kind, image.size
                software = _software(image)
                quality, subsampling = jpeg_quality(image), chroma_subsampling(image)
        except UnidentifiedImageError:
            raise RefusedError("broken_header", f"it begins as {kind}, but its header is damaged") from None
        except Image.DecompressionBombError:
            raise RefusedError("too_many_pixels", f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels") from None
        except MemoryError:
            raise
        except Exception as error:  # Pillow's readers raise whatever a broken header makes them stumble over
            said = f"it begins as {kind}, but its header is damaged ({type(error).__name__})"
            raise RefusedError("broken_header", said) from None
    identity = hashlib.sha256(data).hexdigest()
    return Facts(identity, kind, width, height, len(data), quality, subsampling, software)


@cache
def prepare_pillow() -> None:
    """Let Pillow read HEIF, and longer texts in PNG, as `models/images.py` does, which this room may not import."""
    import pillow_heif

    PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _software(image: Image.Image) -> str | None:
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None  # Pillow would decode all pixels to see whether EXIF comes behind them
    try:
        software = image.getexif().get(ExifTags.Base.Software)
    except MemoryError:
        raise
    except Exception:  # broken EXIF makes Pillow raise nearly anything, and no picture worse
        return None
    return str(software) if software else None
