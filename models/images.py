"""Decoding of image files, given as bytes or a path, into RGB arrays.

What belongs here: the one guarded way from an untrusted file to pixels. What does not: metadata, crops,
tracks and perturbations, and where files come from.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

MAX_PIXELS = 120_000_000

# A closed list: some of Pillow's other readers start programs (EPS) or interpret drawing commands.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF", "HEIF")

# What Pillow's TIFF reader does to the stored pixels for each Orientation (0x0112), undone.
_UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

_STRIP_PIXELS = 1 << 18
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class ImageError(ValueError):
    """A file that cannot be used as an image: `code` is one of the words below, the message a sentence.

    Codes: `not_readable` (no such regular file, or no permission), `not_an_image` (no known format),
    `too_large` (over `MAX_PIXELS`), `corrupt` (cut short or damaged), `unsupported_mode` (floating point or
    32-bit samples).
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)  # both, so that it can be pickled
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


def decode_rgb(source: bytes | Path) -> npt.NDArray[np.uint8]:
    """Decode an image file to RGB, (H, W, 3), 0..255, from its stored pixels.

    The Orientation tag is not applied, so that the sensor's grid and the JPEG blocks keep their axes; of an
    animation the first frame counts. 16-bit samples keep their upper 8 bits. Transparency is composited on
    white: what lies under transparent pixels is whatever a program left there, and no viewer shows it. Colour
    profiles are not applied. HEIF and AVIF with 10 or 12 bits keep their upper 8; a HEIF is turned and cut as its
    container says, because libheif decodes to that only.

    Raises `ImageError`.
    """
    with _opened(source) as image:
        stored, _ = _stored(image)
        return _strips(stored)


def _stored(image: Image.Image) -> tuple[Image.Image, int | None]:
    """An opened image with its stored pixels, and the Orientation of a TIFF, which loading applies and forgets."""
    orientation = image.getexif().get(ExifTags.Base.Orientation) if image.format == "TIFF" else None
    image.load()
    _check_size(image)
    undo = None if orientation is None else _UNDO_ORIENTATION.get(orientation)
    return image if undo is None else image.transpose(undo), orientation


@dataclass(frozen=True)
class Decoded:
    """A decoded image of which parts are taken: the whole is never held a second time, as RGB.

    `orientation` is that of EXIF (0x0112), which is not applied; 1 where there is none.
    """

    image: Image.Image
    orientation: int

    @property
    def height(self) -> int:
        """Stored rows."""
        return self.image.height

    @property
    def width(self) -> int:
        """Stored columns."""
        return self.image.width

    def squares(self, places: Sequence[tuple[int, int]], side: int) -> npt.NDArray[np.uint8]:
        """The squares (n, side, side, 3) at places, top and left, as `decode_rgb` has their pixels."""
        found = np.empty((len(places), side, side, 3), dtype=np.uint8)
        for index, (top, left) in enumerate(places):
            found[index] = np.asarray(_to_rgb(self.image.crop((left, top, left + side, top + side))))
        return found

    def small(self, side: int) -> npt.NDArray[np.uint8]:
        """The image (h, w, 3) reduced by the least whole number after which no side is over `side` px."""
        factor = -(-max(self.width, self.height) // side)
        rows = factor * max(1, _STRIP_PIXELS // (self.width * factor))
        strips = range(0, self.height, rows)
        boxes = [(0, top, self.width, min(self.height, top + rows)) for top in strips]
        return np.concatenate([np.asarray(_to_rgb(self.image.crop(box)).reduce(factor)) for box in boxes])


@contextmanager
def decoded(source: bytes | Path) -> Iterator[Decoded]:
    """An image file, its stored pixels decoded as for `decode_rgb`, to take parts of. Raises `ImageError`."""
    with _opened(source) as image:
        stored, orientation = _stored(image)
        if orientation is None:
            orientation = image.getexif().get(ExifTags.Base.Orientation)
        yield Decoded(stored, orientation if orientation in _UNDO_ORIENTATION else 1)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """An image of stored pixels as it is to be looked at, by its EXIF orientation (0x0112)."""
    undo = _UNDO_ORIENTATION.get(orientation)
    if undo is None:
        return image
    left, right = Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270
    return image.transpose({left: right, right: left}.get(undo, undo))


def _strips(image: Image.Image) -> npt.NDArray[np.uint8]:
    """A decoded image as RGB, (H, W, 3), strip by strip: 5 times faster, and no second copy as Pillow has it."""
    width, height = image.size
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        rgb[top : top + rows] = np.asarray(_to_rgb(image.crop((0, top, width, min(height, top + rows)))))
    return rgb


def decode_small_luma(source: bytes | Path, side: int) -> Image.Image:
    """Decode an image file to luma (mode L) that is to be made small.

    A JPEG is decoded at the coarsest of the scales 1/1, 1/2, 1/4 and 1/8 that leaves both sides `side` px, which costs
    a fraction. Otherwise as `decode_rgb`, `ImageError` included; the Orientation of a TIFF is not undone.
    """
    with _opened(source) as image:
        image.draft("L", (side, side))
        image.load()
        _check_size(image)
        return _to_rgb(image).convert("L")


@contextmanager
def _opened(source: bytes | Path) -> Iterator[Image.Image]:
    """An image file, not decoded yet; what decoding it raises becomes an `ImageError`."""
    if isinstance(source, Path) and not source.is_file():
        raise ImageError("not_readable", "There is no regular file at this path.")
    _prepare_pillow()
    # Pillow warns about odd metadata and about pictures over its own, lower limit of pixels; neither harms
    # here, where the limit is checked below and the metadata is not used.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                _check_size(image)
                yield image
        except (ImageError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            raise ImageError("not_an_image", "The file is in no known image format.") from error
        except Image.DecompressionBombError as error:
            raise ImageError("too_large", f"The image has more than {MAX_PIXELS:,} pixels.") from error
        except PermissionError as error:
            raise ImageError("not_readable", "The file may not be read.") from error
        # Damaged files make Pillow's readers raise nearly anything: OSError, SyntaxError, ValueError,
        # struct.error, zlib.error, IndexError, KeyError, OverflowError and others.
        except Exception as error:
            if "memory" in str(error).lower():  # how codecs say that an allocation failed
                raise MemoryError from error
            raise ImageError("corrupt", f"The image is cut short or damaged ({type(error).__name__}).") from error


@cache
def _prepare_pillow() -> None:
    """Pillow reads HEIF from now on, and PNGs with long texts; loaded here, as it is needed only where pixels are."""
    import pillow_heif

    # Colour profiles of more than Pillow's 1 MB exist.
    PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20
    # Nothing but the picture itself, on one thread: stages run in as many processes as there are cores.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError("too_large", f"The image has more than {MAX_PIXELS:,} pixels ({width} x {height}).")
    if width * height == 0:
        raise ImageError("corrupt", "The image has no pixels.")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        samples = np.asarray(image).astype(np.int64)
        if samples.min() < 0 or samples.max() > 65535:
            raise ImageError("unsupported_mode", "The image has 32-bit samples.")
        return Image.fromarray((samples >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ImageError("unsupported_mode", "The image has floating-point samples.")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
