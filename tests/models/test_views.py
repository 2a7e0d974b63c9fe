from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.squares import SIDE, squares
from models.views import LARGEST_SIDE, view, views
from tests.models.synthetic_images import picture

PHOTOGRAPH = picture(np.random.default_rng(0), False, 512)


def tiny(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(256, size=(height, width, 3), dtype=np.uint8)


def test_the_same_seed_gives_the_same_pixels_whatever_the_number() -> None:
    once, again, other = views(PHOTOGRAPH, 6, 3), views(PHOTOGRAPH, 4, 3), views(PHOTOGRAPH, 6, 4)
    assert len(once) == 6
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=False))
    assert not any(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(once, other, strict=True))


@pytest.mark.parametrize("shape", [(512, 512), (320, 320), (375, 256), (128, 500), (128, 128)])
def test_every_view_of_every_size_has_room_for_a_square(shape: tuple[int, int]) -> None:
    sides = set()
    for found in views(tiny(*shape), 20, 0):
        assert found.dtype == np.uint8
        assert found.shape[2] == 3
        assert min(found.shape[:2]) >= SIDE
        assert max(found.shape[:2]) <= LARGEST_SIDE
        assert len(squares(found)) >= 1
        sides.add(found.shape[:2])
    assert len(sides) > 5 or min(shape) < 2 * SIDE or shape == (512, 512)


def test_what_is_smaller_than_a_square_is_refused() -> None:
    with pytest.raises(ValueError, match="127 x 400 px has no view"):
        view(tiny(127, 400), np.random.default_rng(0))


def test_rates_and_ranges_are_those_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, Any]] = []
    kind, tile = Image.Image, Image.new("RGB", (8, 8))
    resize, save = kind.resize, kind.save

    def resized(self: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
        done.append(("resize", (size[0] / 512, resample)))
        return resize(self, size, Image.Resampling.NEAREST)

    def sharpened(self: Image.Image, mask: Any) -> Image.Image:
        done.append(("sharpen", (mask.radius, mask.percent)))
        return self

    def saved(self: Image.Image, where: Any, **options: Any) -> None:
        done.append(("jpeg", (options["quality"], options["subsampling"])))
        save(tile, where, **options)

    monkeypatch.setattr(kind, "resize", resized)
    monkeypatch.setattr(kind, "filter", sharpened)
    monkeypatch.setattr(kind, "save", saved)
    draws = 1500
    views(PHOTOGRAPH, draws, 0)
    scales = np.array([what[0] for name, what in done if name == "resize"])
    filters = Counter(what[1] for name, what in done if name == "resize")
    qualities = [what[0] for name, what in done if name == "jpeg"]
    # Five standard deviations of a binomial.
    assert abs(len(scales) / draws - 0.85) < 0.05
    assert scales.min() == pytest.approx(0.25, abs=0.01)
    assert scales.max() == pytest.approx(1.2, abs=0.01)
    assert abs(np.median(np.log(scales)) - np.log(0.25 * 1.2) / 2) < 0.12
    shares = {"LANCZOS": 0.35, "BICUBIC": 0.3, "BILINEAR": 0.15, "BOX": 0.1, "HAMMING": 0.1}
    for name, share in shares.items():
        assert abs(filters[Image.Resampling[name]] / len(scales) - share) < 0.07
    masks = [what for name, what in done if name == "sharpen"]
    assert abs(len(masks) / (scales < 0.9).sum() - 0.3) < 0.08
    assert all(0.4 <= radius <= 1 and 20 <= percent <= 120 for radius, percent in masks)
    assert abs(len(qualities) / draws - 0.8) < 0.06
    assert (min(qualities), max(qualities)) == (65, 100)
    usual = sum(quality in (75, 80, 85, 90, 95, 96) for quality in qualities) / len(qualities)
    assert abs(usual - (0.5 + 0.5 * 6 / 36)) < 0.08
    halved = sum(what[1] == "4:2:0" for name, what in done if name == "jpeg") / len(qualities)
    assert abs(halved - 0.7) < 0.07


def test_crops_are_anywhere_and_on_the_grid_more_often_than_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.views.UNSCALED", 1.0)
    monkeypatch.setattr("models.views.COMPRESSED", 0.0)
    rows, columns = np.mgrid[:400, :500]
    coordinates = np.dstack([rows % 256, columns % 256, rows // 256 + 16 * (columns // 256)]).astype(np.uint8)
    corners = np.array([found[0, 0].astype(int) for found in views(coordinates, 400, 0)])
    tops, lefts = corners[:, 0] + 256 * (corners[:, 2] % 16), corners[:, 1] + 256 * (corners[:, 2] // 16)
    assert tops.max() <= 400 - 256
    assert lefts.max() > 200
    on_grid = ((tops % 8 == 0) & (lefts % 8 == 0)).mean()
    assert abs(on_grid - (0.4 + 0.6 / 64)) < 0.13
