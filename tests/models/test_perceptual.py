import io
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from models.images import ImageError
from models.perceptual import NEAR, near_pairs, perceptual_hash
from warehouse.scenes import render_scene

SHARED = Path(__file__).parents[2] / "../shared"
Change = Callable[[Image.Image], bytes]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **({"compress_level": 1} if kind == "PNG" else {}) | options)
    return out.getvalue()


@cache
def scenes() -> list[Image.Image]:
    """Simulated scenes of several shapes as 8-bit pictures."""
    pictures = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        height, width = ((288, 384), (320, 240), (256, 256))[seed % 3]
        light = render_scene(rng, height, width).radiance
        pictures.append(Image.fromarray((255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)))
    return pictures


@cache
def hashes() -> list[str]:
    found = [perceptual_hash(encoded(image)) for image in scenes()]
    assert all(found)
    return [digits for digits in found if digits is not None]


def bits(first: str | None, second: str | None) -> int:
    assert first is not None
    assert second is not None
    return (int(first, 16) ^ int(second, 16)).bit_count()


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return ImageOps.crop(image, (round(width * share), round(height * share)) * 2)


CHANGES: dict[str, tuple[Change, float]] = {
    "jpeg_50": (lambda image: encoded(image, "JPEG", quality=50), 1.0),
    "webp_80": (lambda image: encoded(image, "WEBP", quality=80), 1.0),
    "half": (lambda image: encoded(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)), 1.0),
    "half_jpeg_75": (
        lambda image: encoded(image.resize((image.width // 2, image.height // 2)), "JPEG", quality=75),
        1.0,
    ),
    "grey": (lambda image: encoded(image.convert("L")), 1.0),
    "brighter": (lambda image: encoded(image.point(lambda level: min(255, level * 1.1))), 0.9),
    "cropped_1": (lambda image: encoded(cropped(image, 0.01)), 0.9),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_files_of_one_picture_are_near(name: str) -> None:
    """Of cropped and brightened ones most are: a hash of 8 x 8 frequencies follows what moves them."""
    change, share = CHANGES[name]
    near = [
        bits(digits, perceptual_hash(change(image))) <= NEAR for image, digits in zip(scenes(), hashes(), strict=True)
    ]
    assert np.mean(near) >= share


def test_other_pictures_are_not_near() -> None:
    first, second, _ = near_pairs(hashes(), hashes(), NEAR)
    assert np.array_equal(first, second)


def test_a_hash_is_sixteen_digits_of_which_the_first_bit_is_never_set() -> None:
    for digits in hashes():
        assert len(digits) == 16
        assert int(digits, 16).bit_count() == 31
        assert int(digits, 16) < 1 << 63


def noise(deviation: float) -> npt.NDArray[np.uint8]:
    levels = np.random.default_rng(0).normal(128, deviation, (256, 256, 3))
    return np.rint(levels).clip(0, 255).astype(np.uint8)


RAMP = np.broadcast_to(np.linspace(20, 235, 256)[:, None, None], (256, 256, 3)).astype(np.uint8)


@pytest.mark.parametrize("pixels", [np.full((256, 256, 3), 255, np.uint8), noise(2), RAMP, RAMP.transpose(1, 0, 2)])
def test_a_picture_too_plain_has_no_hash(pixels: npt.NDArray[np.uint8]) -> None:
    """All walls, skies and smooth ramps would be each other's likeness, or chance."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    assert perceptual_hash(encoded(image)) is None
    assert perceptual_hash(encoded(image, "JPEG", quality=75)) is None


def test_a_large_jpeg_has_the_hash_of_its_full_decoding() -> None:
    large = scenes()[0].resize((1920, 1440), Image.Resampling.BICUBIC)
    jpeg = encoded(large, "JPEG", quality=90)
    full = encoded(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    assert bits(perceptual_hash(jpeg), perceptual_hash(full)) <= 2


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "1"])
def test_pictures_of_other_modes_have_a_hash(mode: str) -> None:
    image = scenes()[1].convert("L")
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    image = deep if mode == deep.mode else image.convert(mode)
    assert bits(perceptual_hash(encoded(image)), hashes()[1]) <= NEAR


def test_what_is_no_picture_is_an_error() -> None:
    with pytest.raises(ImageError, match="no known image format"):
        perceptual_hash(b"text")
    with pytest.raises(ImageError, match="cut short"):
        perceptual_hash(encoded(scenes()[0], "JPEG")[:2000])


def test_pairs_are_those_of_comparing_one_by_one() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 1 << 63, 300, dtype=np.uint64)
    near = numbers[:100] ^ (np.uint64(1) << rng.integers(0, 63, (5, 100)).astype(np.uint64)).sum(axis=0)
    first, second = ([f"{n:016x}" for n in part] for part in (numbers, np.concatenate([near, numbers[:7]])))
    wanted = [(i, j, bits(a, b)) for i, a in enumerate(first) for j, b in enumerate(second) if bits(a, b) <= NEAR]
    assert len(wanted) > 50
    assert list(zip(*(part.tolist() for part in near_pairs(first, second, NEAR)), strict=True)) == wanted


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (3, 0)])
def test_without_hashes_there_are_no_pairs(first: int, second: int) -> None:
    assert [len(part) for part in near_pairs(["0" * 16] * first, ["0" * 16] * second, NEAR)] == [0, 0, 0]


def test_many_hashes_are_compared_in_little_memory() -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << 63, 21_000, dtype=np.uint64)
    many = [f"{n:016x}" for n in numbers]
    tracemalloc.start()
    first, _, _ = near_pairs(many[:1000], many[1000:], NEAR)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first) == 0
    assert peak < 100_000_000


@pytest.mark.skipif(not (SHARED / "benchmark").is_dir(), reason="the development set is not there")
def test_real_pictures_that_are_near_are_of_one_series() -> None:
    """Photographs of the development set and of a corpus: none of one is a picture of the other."""
    sides = []
    for folder in ("benchmark/_real", "corpus/photos"):
        files = sorted(path for path in (SHARED / folder).rglob("*") if path.suffix in (".jpg", ".png"))[:150]
        assert len(files) > 20
        found = [perceptual_hash(file) for file in files]
        sides.append([digits for digits in found if digits is not None])
    assert len(near_pairs(sides[0], sides[1], NEAR)[0]) == 0
