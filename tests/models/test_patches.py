import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.patches import PATCH, all_patches, spread_patches

STEADY = settings(deadline=None, derandomize=True)


def _coordinates(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Encode each pixel's row and column in its colour, so that a patch tells where it was cut."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows % 256, columns % 256, (rows // 256) * 16 + columns // 256]).astype(np.uint8)


def _places(patches: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    corners = patches[:, 0, 0].astype(int)
    return [(int(r + 256 * (b // 16)), int(c + 256 * (b % 16))) for r, c, b in corners]


def test_all_patches_of_a_wide_image_row_by_row() -> None:
    image = _coordinates(130, 200)
    patches = all_patches(image)
    assert _places(patches) == [(r, c) for r in (0, 64) for c in (0, 64, 128)]
    assert np.array_equal(patches[4], image[64:128, 64:128])


@pytest.mark.parametrize("shape", [(63, 300), (300, 10), (1, 1)])
def test_small_images_become_one_patch(shape: tuple[int, int]) -> None:
    patches = all_patches(np.full((*shape, 3), 77, np.uint8))
    assert patches.shape == (1, 64, 64, 3)
    assert (patches == 77).all()


def test_256_squared_gives_the_same_16_patches_both_ways() -> None:
    image = _coordinates(256, 256)
    assert np.array_equal(spread_patches(image), all_patches(image))


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((1024, 1024), (4, 4)),
        ((640, 3000), (2, 8)),
        ((3000, 640), (8, 2)),
        ((64, 4000), (1, 16)),
        ((200, 330), (3, 5)),
        ((128, 128), (2, 2)),
        ((64, 64), (1, 1)),
    ],
)
def test_grid_follows_the_aspect_ratio(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    places = _places(spread_patches(_coordinates(*shape)))
    assert len(places) == grid[0] * grid[1]
    assert len({r for r, _ in places}) == grid[0]
    assert len({c for _, c in places}) == grid[1]


def test_a_side_under_64_gives_none() -> None:
    assert spread_patches(_coordinates(63, 900)).shape == (0, 64, 64, 3)


def test_spread_reaches_both_ends() -> None:
    places = _places(spread_patches(_coordinates(1000, 1600)))
    assert min(places) == (0, 0)
    assert max(r for r, _ in places) == 936
    assert max(c for _, c in places) == 1536


@STEADY
@given(st.integers(64, 1500), st.integers(64, 1500), st.integers(1, 20))
def test_spread_patches_never_overlap_and_are_as_many_as_a_grid_allows(height: int, width: int, count: int) -> None:
    image = _coordinates(height, width)
    patches = spread_patches(image, count)
    places = _places(patches)
    rows, columns = height // PATCH, width // PATCH
    most = max(r * min(columns, count // r) for r in range(1, min(rows, count) + 1))
    assert len(places) == most
    for index, (top, left) in enumerate(places):
        assert top % 8 == 0
        assert left % 8 == 0
        assert np.array_equal(patches[index], image[top : top + 64, left : left + 64])
        assert all(abs(top - t) >= 64 or abs(left - f) >= 64 for t, f in places[:index])


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (3, 64, 64)])
def test_wrong_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        spread_patches(np.zeros(shape, np.uint8))
