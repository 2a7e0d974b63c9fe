import numpy as np
import numpy.typing as npt

from models.reference_squares import VIEWS, reference_squares
from models.squares import SIDE, squares
from models.tracks import AS_SHIPPED, FORMAT_MATCHED

SHA256 = "5e" * 32


def image(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_photograph_gives_itself_on_every_track_and_its_views() -> None:
    picture = image(400, 700)
    found = dict(reference_squares(picture, SHA256))
    assert list(found) == [AS_SHIPPED, FORMAT_MATCHED, *VIEWS]
    assert np.array_equal(found[AS_SHIPPED].pixels, squares(picture).pixels)
    assert len(found[FORMAT_MATCHED]) == 4
    assert all(1 <= len(found[view]) <= 4 for view in VIEWS)
    assert len({found[view].pixels.tobytes() for view in VIEWS}) == len(VIEWS)


def test_the_views_are_those_of_the_content() -> None:
    picture = image(300, 300)
    first, again, other = (dict(reference_squares(picture, name)) for name in (SHA256, SHA256, "07" * 32))
    assert all(np.array_equal(first[view].pixels, again[view].pixels) for view in VIEWS)
    assert not all(np.array_equal(first[view].pixels, other[view].pixels) for view in VIEWS)


def test_a_small_photograph_gives_what_it_has_room_for() -> None:
    assert list(reference_squares(image(SIDE - 1, 900), SHA256)) == []
    found = dict(reference_squares(image(SIDE, 200), SHA256))
    assert list(found) == [AS_SHIPPED, *VIEWS]
    assert {len(seen) for seen in found.values()} == {1}


def test_views_come_from_all_over_a_large_photograph() -> None:
    """Each pixel tells where it is, coarsely enough for JPEG."""
    rows = np.linspace(0, 255, 4000).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(rows[:, None, None], (4000, 1100, 3)))
    means = [seen.pixels.mean() for name, seen in reference_squares(picture, SHA256) if name in VIEWS]
    assert max(means) - min(means) > 255 / 8
