import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.images import ImageError, decode_rgb


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)


def test_rgb_is_returned_as_stored_from_bytes_and_path(picture: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    content = _encoded(Image.fromarray(picture))
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert np.array_equal(decode_rgb(content), picture)
    assert np.array_equal(decode_rgb(path), picture)
    assert decode_rgb(path).flags.writeable


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_orientation_is_not_applied(picture: npt.NDArray[np.uint8], kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"exif": exif}
    if kind == "JPEG":
        options["quality"] = 95
    plain = decode_rgb(_encoded(Image.fromarray(picture), kind, **{k: v for k, v in options.items() if k != "exif"}))
    assert np.array_equal(decode_rgb(_encoded(Image.fromarray(picture), kind, **options)), plain)


def test_grey_and_palette_modes(picture: npt.NDArray[np.uint8]) -> None:
    grey = Image.fromarray(picture[..., 0])
    assert np.array_equal(decode_rgb(_encoded(grey)), np.repeat(picture[..., :1], 3, axis=2))
    palette = Image.fromarray(picture).quantize(32)
    assert np.array_equal(decode_rgb(_encoded(palette)), np.asarray(palette.convert("RGB")))
    one_bit = Image.fromarray(picture[..., 0] > 128)
    assert set(np.unique(decode_rgb(_encoded(one_bit)))) == {0, 255}


def test_cmyk_gives_three_channels(picture: npt.NDArray[np.uint8]) -> None:
    decoded = decode_rgb(_encoded(Image.fromarray(picture).convert("CMYK"), "TIFF"))
    assert np.array_equal(decoded, picture)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(kind: str) -> None:
    samples = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    decoded = decode_rgb(_encoded(Image.fromarray(samples), kind))
    assert np.array_equal(decoded[..., 1], (samples >> 8).astype(np.uint8))


def test_transparency_is_composited_on_white(picture: npt.NDArray[np.uint8]) -> None:
    alpha = np.full(picture.shape[:2], 255, dtype=np.uint8)
    alpha[:, :10] = 0
    for image in (
        Image.fromarray(np.dstack([picture, alpha])),
        Image.fromarray(np.dstack([picture[..., 0], alpha])),
    ):
        decoded = decode_rgb(_encoded(image))
        assert (decoded[:, :10] == 255).all()
        assert np.array_equal(decoded[:, 10:, 0], picture[:, 10:, 0])


def test_first_frame_of_an_animation(picture: npt.NDArray[np.uint8]) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    content = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_rgb(content) == 10).all()


def test_a_file_of_several_jpegs_gives_the_first(picture: npt.NDArray[np.uint8]) -> None:
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    several = _encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(decode_rgb(several), decode_rgb(_encoded(frames[0], "JPEG")))


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


# 11,000 squared passes Pillow's warning and not its error; 30,000 squared passes both.
@pytest.mark.parametrize("side", [11_000, 30_000])
def test_a_decompression_bomb_is_refused_without_a_warning(side: int) -> None:
    with pytest.raises(ImageError, match="pixels") as caught:
        decode_rgb(_png_header(side, side))
    assert caught.value.code == "too_large"


def test_damage_is_refused_with_its_code(picture: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        content = _encoded(Image.fromarray(picture), kind)
        with pytest.raises(ImageError) as caught:
            decode_rgb(content[: len(content) // 2])
        assert caught.value.code in ("corrupt", "not_an_image"), kind
    with pytest.raises(ImageError) as caught:
        decode_rgb(_png_header(5_000, 5_000))
    assert caught.value.code == "corrupt"
    for content in (b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(ImageError) as caught:
            decode_rgb(content)
        assert caught.value.code == "not_an_image"
    for path in (tmp_path, tmp_path / "absent.png"):
        with pytest.raises(ImageError) as caught:
            decode_rgb(path)
        assert caught.value.code == "not_readable"


def test_floating_point_samples_are_refused() -> None:
    with pytest.raises(ImageError) as caught:
        decode_rgb(_encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF"))
    assert caught.value.code == "unsupported_mode"


def _code(content: bytes) -> str | None:
    try:
        decode_rgb(content)
    except ImageError as error:
        return error.code
    return None


def test_flipped_bytes_raise_nothing_but_image_errors(picture: npt.NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        content = np.frombuffer(_encoded(Image.fromarray(picture), kind), np.uint8)
        for _ in range(40):
            damaged = content.copy()
            damaged[rng.integers(0, min(len(damaged), 400), 6)] = rng.integers(0, 256, 6)
            code = _code(damaged.tobytes())
            assert code in (None, "corrupt", "not_an_image", "too_large", "unsupported_mode")
