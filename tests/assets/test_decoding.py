import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.decoding import decoding, hashing, pixels
from models.images import ImageError, decode_rgb
from models.perceptual import perceptual_hash
from tests.warehouse.test_file_formats import CFA, tiff
from warehouse.file_facts import look, looking
from warehouse.places import RefusedError


def picture(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    rows, columns = np.mgrid[:96, :128]
    image = np.stack([rows * 2, columns, (rows + columns) // 2], axis=2).astype(np.uint8)
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_the_guarded_process_gives_what_the_plain_functions_do(kind: str) -> None:
    data = picture(kind)
    with looking() as look_guarded, decoding() as decode, hashing() as hash_picture:
        assert look_guarded(data) == look(data)
        assert np.array_equal(decode(data), decode_rgb(data))
        assert hash_picture(data) == perceptual_hash(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff({0xC612: (1, 4, 0x104)}), "pixels_not_decoded"),
        (tiff(CFA), "pixels_not_decoded"),
        (b"\xff\x0a\x00", "pixels_not_decoded"),
        (picture("GIF"), "not_a_photograph_format"),
        (b"text", "not_an_image"),
        (picture("JPEG")[:600], "corrupt"),
    ],
)
def test_what_has_no_pixels_for_us_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        pixels(data)
    assert caught.value.reason == reason


def test_a_raw_file_is_a_photograph_without_a_size() -> None:
    facts = look(tiff({0xC612: (1, 4, 0x104)}))
    assert (facts.format, facts.width, facts.height) == ("DNG", None, None)


def test_an_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("corrupt", "It is broken.")))
    assert (error.code, str(error)) == ("corrupt", "It is broken.")


def test_formats_of_the_shared_originals_are_looked_at_and_decoded() -> None:
    originals = Path(__file__).parents[3] / "shared/corpus/originals"
    if not originals.is_dir():
        pytest.skip(f"{originals} is not there")
    formats = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF"}
    with looking() as look_guarded, decoding() as decode:
        for path in sorted(originals.iterdir()):
            if path.suffix in formats:
                data = path.read_bytes()
                facts = look_guarded(data)
                assert facts.format == formats[path.suffix]
                assert decode(data).shape == (facts.height, facts.width, 3)
