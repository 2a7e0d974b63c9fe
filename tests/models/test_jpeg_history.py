"""Evidence of earlier compression on made textures, whose whole history is known."""

import io
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.detector import BenchmarkImage, FileFacts
from models.jpeg_history import JpegHistory, blockiness, evidence, periodicity

Pixels = npt.NDArray[np.uint8]
SEEDS = range(4)
# Without any history the evidence of 256 x 256 px stays below this.
NOTHING = 0.06


@cache
def texture(seed: int, side: int = 320) -> Pixels:
    """Smooth noise in colour, power-law spectrum, with a little white noise as sensors have it."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    radius[0, 0] = 1
    shared, *own = (np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / radius**1.5).real for _ in range(4))
    rgb = np.stack([128 + 30 * (shared / shared.std() + 0.3 * each / each.std()) for each in own], axis=-1)
    rgb += rng.normal(0, 1.5, rgb.shape)
    return np.asarray(np.rint(rgb).clip(0, 255).astype(np.uint8))


def jpeg(image: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.array(Image.open(buffer))


def judged(image: Pixels, top: int, left: int) -> Pixels:
    """What the headline track makes of an image, cut at a place of our choice."""
    return jpeg(np.ascontiguousarray(image[top : top + 256, left : left + 256]), 90)


@pytest.mark.parametrize("place", [(0, 0), (3, 5), (0, 4), (4, 4), (7, 0), (16, 33)])
@pytest.mark.parametrize(("quality", "at_least"), [(50, 0.3), (75, 0.2)])
def test_earlier_compression_is_there_after_a_crop_and_one_more_jpeg(
    quality: int, at_least: float, place: tuple[int, int]
) -> None:
    for seed in SEEDS:
        assert evidence(judged(jpeg(texture(seed), quality), *place)) > at_least
        assert evidence(judged(texture(seed), *place)) < NOTHING


def test_light_compression_raises_the_evidence_of_every_texture() -> None:
    for seed in SEEDS:
        assert evidence(judged(jpeg(texture(seed), 85), 3, 5)) > evidence(judged(texture(seed), 3, 5)) + 0.02


@pytest.mark.parametrize("quality", [95, 90, 75])
def test_one_compression_alone_is_no_history(quality: int) -> None:
    for seed in SEEDS:
        assert evidence(jpeg(texture(seed), quality)) < 2 * NOTHING


@pytest.mark.parametrize("method", [Image.Resampling.LANCZOS, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("factor", [2, 4])
def test_enlargement_as_generators_do_it_is_no_history(factor: int, method: Image.Resampling) -> None:
    for seed in SEEDS:
        small = Image.fromarray(texture(seed)[: 320 // factor, : 320 // factor])
        assert evidence(judged(np.asarray(small.resize((320, 320), method)), 3, 5)) < 2 * NOTHING


@pytest.mark.parametrize("place", [(3, 5), (0, 4), (7, 0)])
def test_the_grid_that_stands_out_is_the_earlier_one(place: tuple[int, int]) -> None:
    luma = judged(jpeg(texture(0), 70), *place).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) - 128
    grid = np.unravel_index(periodicity(luma).argmax(), (8, 8))
    assert tuple(grid) == tuple(-np.array(place) % 8)
    assert blockiness(luma) > 0


@pytest.mark.parametrize("side", [16, 17, 24, 48, 64, 100])
def test_a_small_image_without_history_has_none_on_average(side: int) -> None:
    cut = [texture(seed)[top : top + side, :side] for seed in SEEDS for top in range(0, 200, 20)]
    assert abs(np.mean([evidence(image) for image in cut])) < 0.2


def test_flat_and_saturated_images_have_no_evidence() -> None:
    for value in (0, 77, 255):
        assert evidence(np.full((64, 80, 3), value, np.uint8)) == 0
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = 255
    assert np.isfinite(evidence(half))


def test_of_a_large_image_the_centre_counts_on_the_grid_of_the_last_compression() -> None:
    image = jpeg(np.tile(texture(0), (4, 4, 1))[:1100, :1003], 90)
    assert evidence(image) == evidence(image[288 : 288 + 512, 240 : 240 + 512])


def test_the_detector_says_minus_the_evidence_every_time() -> None:
    facts = FileFacts("0" * 64, "PNG", 256, 256, 1, None, None)
    pixels = [judged(jpeg(texture(0), 70), 3, 5), judged(texture(1), 0, 0), texture(2)[:15, :200]]
    images = [BenchmarkImage(each, facts, "format_matched", "none") for each in pixels]
    detector = JpegHistory()
    scores = detector.score(images)
    assert scores.shape == (3,)
    assert scores[0] < scores[1]
    assert np.isnan(scores[2])
    assert scores[0] == -evidence(pixels[0])
    assert np.array_equal(JpegHistory().score(images[::-1]), scores[::-1], equal_nan=True)
    assert detector.score([]).shape == (0,)
