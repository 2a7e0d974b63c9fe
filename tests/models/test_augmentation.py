from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.augmentation import augment
from models.perturbations import Pixels, perturb

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 130, 3), dtype=np.uint8)


def test_the_same_place_of_the_same_step_gives_the_same_pixels() -> None:
    places = [(step, place) for step in range(4) for place in range(6)]
    once, again = ([augment(IMAGE, 1, *at) for at in places] for _ in range(2))
    for first, second in zip(once, again, strict=True):
        assert np.array_equal(first, second)
    for other in ([augment(IMAGE, 2, *at) for at in places], [augment(IMAGE, 1, at[0] + 4, at[1]) for at in places]):
        assert any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(once, other, strict=True))


def test_rates_and_ranges_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    image, draws, done = IMAGE[:64, :64], 4000, Counter[str]()
    names: list[str] = []

    def noted(pixels: Pixels, name: str, image_id: str) -> Pixels:
        names.append(name)
        return perturb(pixels, name, image_id) if len(names) % 20 == 0 else pixels

    monkeypatch.setattr("models.augmentation.perturb", noted)
    sides: list[int] = []
    for draw in range(draws):
        height, width = augment(image, 0, draw, 0).shape[:2]
        assert height == width
        sides.append(height)
    done.update(name.partition("_")[0] for name in names)
    # A side of 64 px is also drawn; five standard deviations of a binomial.
    assert abs(sum(side != 64 for side in sides) / draws - 0.3 * 64 / 65) < 0.036
    assert abs(done["blur"] / draws - 0.1) < 0.024
    assert abs(done["jpeg"] / draws - 0.25) < 0.034
    assert (min(sides), max(sides)) == (64, 128)
    assert {name for name in names if name.startswith("jpeg")} == {f"jpeg_{quality}" for quality in range(90, 100)}
    sigmas = [float(name.removeprefix("blur_")) for name in names if name.startswith("blur")]
    assert 0 <= min(sigmas) < 0.05
    assert 0.95 < max(sigmas) <= 1


def test_without_a_draw_the_pixels_stay() -> None:
    untouched = sum(np.array_equal(augment(IMAGE, 0, step, 0), IMAGE) for step in range(400))
    assert abs(untouched / 400 - 0.7 * 0.9 * 0.75) < 0.125
