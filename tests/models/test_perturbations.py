import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from models.perturbations import DEFAULT_GRID, GRIDS, WHOLE_GRID, Pixels, conditions, perturb

ID = hashlib.sha256(b"a picture").hexdigest()


def picture(height: int = 120, width: int = 160) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 40, (height, width, 3))
    return np.asarray(gaussian_filter(noise, (1, 1, 0)) * 2 + 128).clip(0, 255).astype(np.uint8)


def test_the_grid_is_that_of_the_protocol() -> None:
    assert (
        *("none", "jpeg_95", "jpeg_90", "jpeg_75", "jpeg_60", "jpeg_50", "jpeg_30", "webp_80"),
        *("resize_0.25", "resize_0.5", "resize_0.75", "resize_1.5", "resize_2"),
        *("blur_0.5", "blur_1", "blur_2", "blur_3", "noise_2", "noise_5", "noise_10", "crop_0.75"),
        "resize_0.5+jpeg_75",
    ) == WHOLE_GRID
    assert set(DEFAULT_GRID) < set(WHOLE_GRID)
    assert {"jpeg_95", "blur_1", "resize_0.5"} < set(DEFAULT_GRID), "the published robustness tests"


def test_only_the_headline_track_is_perturbed_by_default() -> None:
    assert conditions("default", "format_matched") == DEFAULT_GRID
    assert conditions("default", "as_shipped") == conditions("none", "format_matched") == ("none",)
    assert conditions("whole", "as_shipped") == conditions("whole", "in_the_wild") == WHOLE_GRID


@pytest.mark.parametrize("name", WHOLE_GRID)
def test_every_perturbation_gives_a_picture_and_the_same_again(name: str) -> None:
    given = picture()
    before = given.copy()
    seen = perturb(given, name, ID)
    assert seen.dtype == np.uint8
    assert seen.ndim == 3
    assert np.array_equal(seen, perturb(given, name, ID))
    assert np.array_equal(given, before)
    assert np.array_equal(seen, given) == (name == "none")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resize_0.25", (30, 40)),
        ("resize_0.75", (90, 120)),
        ("resize_1.5", (180, 240)),
        ("crop_0.75", (90, 120)),
        ("resize_0.5+jpeg_75", (60, 80)),
        ("jpeg_30", (120, 160)),
    ],
)
def test_sizes(name: str, shape: tuple[int, int]) -> None:
    assert perturb(picture(), name, ID).shape == (*shape, 3)


def test_a_crop_keeps_the_centre() -> None:
    given = picture()
    assert np.array_equal(perturb(given, "crop_0.75", ID), given[15:105, 20:140])


def test_resizing_is_pillows_lanczos() -> None:
    given = picture()
    expected = np.asarray(Image.fromarray(given).resize((80, 60), Image.Resampling.LANCZOS))
    assert np.array_equal(perturb(given, "resize_0.5", ID), expected)


def test_noise_has_its_deviation_and_is_of_the_image_alone() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    for deviation in (2, 5, 10):
        added = perturb(grey, f"noise_{deviation}", ID).astype(float) - 128
        assert added.std() == pytest.approx(deviation, rel=0.03)
        assert abs(added.mean()) < 0.1
    other = hashlib.sha256(b"another").hexdigest()
    assert not np.array_equal(perturb(grey, "noise_5", ID), perturb(grey, "noise_5", other))


def test_lower_quality_and_wider_blur_take_more_away() -> None:
    given = picture()

    def error(name: str) -> float:
        return float(np.square(perturb(given, name, ID).astype(float) - given).mean())

    for names in (["jpeg_95", "jpeg_75", "jpeg_30"], ["blur_0.5", "blur_1", "blur_2", "blur_3"]):
        errors = [error(name) for name in names]
        assert errors == sorted(errors)
        assert errors[0] > 0


def test_a_chain_is_one_after_the_other() -> None:
    given = picture()
    expected = perturb(perturb(given, "resize_0.5", ID), "jpeg_75", ID)
    assert np.array_equal(perturb(given, "resize_0.5+jpeg_75", ID), expected)


@pytest.mark.parametrize("name", ["", "jpeg", "jpeg_", "swirl_2", "none+jpeg_75"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown perturbation"):
        perturb(picture(), name, ID) if name else perturb(picture(), "+", ID)


def test_grids_have_no_name_twice() -> None:
    for grid in GRIDS.values():
        assert len(set(grid)) == len(grid)
