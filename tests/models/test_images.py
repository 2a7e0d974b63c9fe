import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
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


def _heif(picture: npt.NDArray[np.uint8], **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, **options)
    return buffer.getvalue()


def _waves() -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:64, :96]
    return np.stack([rows * 3, columns * 2, rows + columns], axis=2).astype(np.uint8)


def test_a_heif_is_decoded() -> None:
    decoded = decode_rgb(_heif(_waves(), quality=-1, chroma=444))
    assert np.abs(decoded.astype(int) - _waves()).max() <= 3


def test_a_heif_is_turned_as_its_container_says_and_not_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = _heif(_waves(), quality=-1, chroma=444, exif=exif.tobytes())  # the encoder makes it a property irot
    assert b"irot" in turned
    expected = np.rot90(_waves(), -1)
    assert np.abs(decode_rgb(turned).astype(int) - expected).max() <= 3
    # A property that no reader knows and none needs: what is left is the EXIF orientation alone.
    assert np.abs(decode_rgb(turned.replace(b"irot", b"free")).astype(int) - _waves()).max() <= 3


def test_ten_bits_of_a_heif_become_eight() -> None:
    buffer = io.BytesIO()
    deep = _waves().astype(np.uint16) * 257
    pillow_heif.from_bytes("RGB;16", (96, 64), deep.tobytes()).save(buffer, quality=-1, chroma=444)
    assert pillow_heif.open_heif(buffer, convert_hdr_to_8bit=False).info["bit_depth"] == 10
    assert np.abs(decode_rgb(buffer.getvalue()).astype(int) - _waves()).max() <= 3


def test_a_picture_of_many_strips_is_whole() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (700, 1000, 4), dtype=np.uint8)
    picture[..., 3] = 255
    assert np.array_equal(decode_rgb(_encoded(Image.fromarray(picture))), picture[..., :3])
    grey = np.arange(700 * 1000, dtype=np.uint32).reshape(700, 1000) % 65536
    decoded = decode_rgb(_encoded(Image.fromarray(grey.astype(np.uint16))))
    assert np.array_equal(decoded[..., 0], (grey >> 8).astype(np.uint8))
