import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from models.file_facts import file_facts, jpeg_quality

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def saved(kind: str, picture: Image.Image = PICTURE, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("quality", [1, 10, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_the_quality_is_the_one_it_was_saved_with(quality: int) -> None:
    # libjpeg's tables at quality 1 and 2 are the same, but for that every quality has its own.
    assert file_facts(saved("JPEG", quality=quality)).jpeg_quality == quality


def test_a_makers_own_table_gets_the_nearest_quality() -> None:
    with Image.open(io.BytesIO(saved("JPEG", quality=80))) as image:
        table = np.array(image.quantization[0])  # type: ignore[attr-defined]
    table[::5] += 1
    data = saved("JPEG", qtables=[table.tolist(), table.tolist()])
    assert file_facts(data).jpeg_quality in (79, 80)
    assert jpeg_quality(np.full(64, 255)) == 1


@pytest.mark.parametrize(
    ("subsampling", "expected"), [("4:4:4", "4:4:4"), ("4:2:2", "4:2:2"), ("4:2:0", "4:2:0"), ("4:1:1", "4:2:0")]
)
def test_chroma_subsampling(subsampling: str, expected: str) -> None:
    # Pillow's name 4:1:1 stands for 4:2:0.
    assert file_facts(saved("JPEG", subsampling=subsampling)).chroma_subsampling == expected


def test_without_chroma_there_is_another_subsampling() -> None:
    facts = file_facts(saved("JPEG", PICTURE.convert("L"), quality=70))
    assert (facts.jpeg_quality, facts.chroma_subsampling) == (70, "other")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_have_neither(kind: str) -> None:
    data = saved(kind)
    facts = file_facts(data)
    assert (facts.format, facts.width, facts.height, facts.size_bytes) == (kind, 40, 30, len(data))
    assert facts.image_id == hashlib.sha256(data).hexdigest()
    assert (facts.jpeg_quality, facts.chroma_subsampling) == (None, None)


def test_a_camera_file_of_several_pictures_is_a_jpeg() -> None:
    data = saved("MPO", save_all=True, append_images=[PICTURE], quality=88)
    facts = file_facts(data)
    assert (facts.format, facts.jpeg_quality) == ("MPO", 88)


def test_nonsense_has_no_facts_but_its_bytes() -> None:
    rng = np.random.default_rng(0)
    whole = saved("JPEG", quality=90)
    for data in (
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xdb\x00\x02",
        b"GIF89a",
        rng.bytes(500),
        b"\xff\xd8\xff" + rng.bytes(500),
    ):
        facts = file_facts(data)
        assert (facts.size_bytes, facts.jpeg_quality) == (len(data), None)
    for cut in range(0, len(whole), 7):
        assert file_facts(whole[:cut]).jpeg_quality in (None, 90)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(2, 400, 6):
            damaged[place] = rng.integers(256)
        assert file_facts(bytes(damaged)).size_bytes == len(whole)
