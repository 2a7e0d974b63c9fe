import numpy as np
import pytest

from models.camera_statistics import COUNT, TooSmallError, camera_statistics, statistics_squares
from models.co_occurrences import co_occurrences
from models.hand_features import hand_features
from models.noise_levels import noise_levels
from models.square_features import reduced


def picture(height: int, width: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(height).integers(256, size=(height, width, 3)).astype(np.uint8)


def test_they_are_those_of_squares_averaged_and_noise_of_all_together() -> None:
    squares = statistics_squares(picture(300, 280))
    assert squares.shape == (4, 128, 128, 3)
    found = camera_statistics(squares)
    assert found.shape == (COUNT,)
    half = reduced(squares, 2)
    whole = [hand_features(squares), hand_features(half), co_occurrences(squares), co_occurrences(half)]
    means = np.concatenate([each.mean(axis=0) for each in whole])
    assert found[: len(means)] == pytest.approx(means)
    assert np.array_equal(found[len(means) :], noise_levels(squares), equal_nan=True)


def test_squares_keep_their_pixels_and_are_at_most_sixteen() -> None:
    image = picture(700, 900)
    squares = statistics_squares(image)
    assert len(squares) == 16
    assert np.array_equal(squares[0], image[:128, :128])


@pytest.mark.parametrize("size", [(127, 500), (500, 64)])
def test_without_room_for_a_square_there_are_none(size: tuple[int, int]) -> None:
    with pytest.raises(TooSmallError, match="a side under 128 px"):
        statistics_squares(picture(*size))
