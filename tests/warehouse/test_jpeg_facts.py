import io
import struct

import numpy as np
import pytest
from PIL import Image

from warehouse.jpeg_facts import chroma_subsampling, jpeg_quality

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def saved(kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(out, kind, **options)
    return out.getvalue()


def test_every_quality_of_libjpeg_is_told() -> None:
    assert [jpeg_quality(opened(saved(quality=quality))) for quality in range(1, 101)] == list(range(1, 101))


def test_the_quality_of_other_tables_is_the_nearest() -> None:
    near_80 = opened(saved(quality=80)).quantization[0]  # type: ignore[attr-defined]
    tables = [[step + (index % 2) for index, step in enumerate(near_80)]] * 2
    quality = jpeg_quality(opened(saved(qtables=tables)))
    assert quality is not None
    assert 74 <= quality <= 80


def test_a_progressive_and_a_grey_jpeg_have_a_quality() -> None:
    assert jpeg_quality(opened(saved(quality=60, progressive=True))) == 60
    assert jpeg_quality(opened(saved(quality=60, mode="L"))) == 60


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_chroma_subsampling_is_told(subsampling: str) -> None:
    assert chroma_subsampling(opened(saved(subsampling=subsampling))) == subsampling


def frame_header(factors: list[tuple[int, int]]) -> bytes:
    """A JPEG with other sampling factors in its frame header (SOF0); what its pixels are no longer matters."""
    data = bytearray(saved())
    at = data.index(b"\xff\xc0") + 4
    count = struct.unpack_from(">xxxxxB", data, at)[0]
    assert count == len(factors)
    for number, (wide, high) in enumerate(factors):
        data[at + 6 + 3 * number + 1] = wide << 4 | high
    return bytes(data)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ([(2, 2), (1, 2), (1, 2)], "4:2:2"),
        ([(2, 2), (2, 2), (2, 2)], "4:4:4"),
        ([(1, 2), (1, 1), (1, 1)], "other"),
        ([(4, 1), (1, 1), (1, 1)], "other"),
        ([(2, 2), (1, 1), (2, 1)], "other"),
        ([(2, 2), (0, 1), (0, 0)], "other"),
    ],
)
def test_chroma_subsampling_is_the_ratio_of_the_factors(factors: list[tuple[int, int]], said: str) -> None:
    assert chroma_subsampling(opened(frame_header(factors))) == said


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_without_chroma_subsampling_is_other(mode: str) -> None:
    assert chroma_subsampling(opened(saved(mode=mode))) == "other"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_have_neither(kind: str) -> None:
    image = opened(saved(kind))
    assert (jpeg_quality(image), chroma_subsampling(image)) == (None, None)


def test_nonsense_in_the_tables_is_no_error() -> None:
    data = saved(quality=50)
    at = data.index(b"\xff\xdb") + 5
    for steps in (bytes(64), b"\xff" * 64):
        assert jpeg_quality(opened(data[:at] + steps + data[at + 64 :])) in range(1, 101)
    # The frame asks for a table that is not there.
    at = data.index(b"\xff\xc0") + 4 + 6 + 2
    assert jpeg_quality(opened(data[:at] + b"\x03" + data[at + 1 :])) is None
