"""Which residuals stand next to which: against counting them one by one, and what leaves the numbers as they are."""

from collections import Counter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from models.co_occurrences import COUNT, co_occurrences
from models.content import luma

Pixels = npt.NDArray[np.uint8]


def squares(count: int, seed: int = 0, deviation: float = 12, side: int = 32) -> Pixels:
    """Smooth slopes with noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((side, side))
    slopes = rng.uniform(-1, 1, (count, 2))
    plane = 128 + slopes[:, :1, None] * (rows - side / 2) + slopes[:, 1:, None] * (columns - side / 2)
    noisy = plane + rng.normal(0, deviation, plane.shape)
    return np.repeat(np.rint(noisy).clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def lines(plane: npt.NDArray[np.int64]) -> tuple[list[list[int]], list[list[int]]]:
    """Rows and columns."""
    return plane.tolist(), plane.T.tolist()


def one_by_one(square: Pixels) -> dict[str, Counter[tuple[int, ...]]]:
    """How often each pattern stands in a square, by the kind of residual and the direction of its neighbours."""
    plane = luma(square).astype(np.float64)
    right, down = np.diff(plane, axis=1), np.diff(plane, axis=0)
    kernel = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    side = len(plane) - 2
    bent = sum(kernel[r, c] * plane[r : r + side, c : c + side] for r in range(3) for c in range(3))
    found: dict[str, Counter[tuple[int, ...]]] = {}
    kinds = {
        "first": (right, down),
        "second": (np.diff(right, axis=1), np.diff(down, axis=0)),
        "bent": (bent, bent),
    }
    for kind, (of_rows, of_columns) in kinds.items():
        for direction, both in (
            ("along", (lines(classes(of_rows))[0], lines(classes(of_columns))[1])),
            ("across", (lines(classes(of_rows))[1], lines(classes(of_columns))[0])),
        ):
            name = kind if kind == "bent" else f"{kind} {direction}"
            counted = found.setdefault(name, Counter())
            for line in (line for half in both for line in half):
                for start in range(len(line) - 2):
                    counted[alike(tuple(line[start : start + 3]))] += 1
    return found


def classes(residuals: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    size = np.abs(residuals).mean() + 0.05
    return np.asarray(np.sum([residuals >= cut * size for cut in (-1.2, -0.35, 0.35, 1.2)], axis=0))


def alike(pattern: tuple[int, ...]) -> tuple[int, ...]:
    """The same for a pattern, turned round, of the opposite sign, and both."""
    opposite = tuple(4 - each for each in pattern)
    return min(pattern, pattern[::-1], opposite, opposite[::-1])


def test_shares_are_those_counted_one_by_one() -> None:
    square = squares(1, seed=3, side=16)[0]
    found = co_occurrences(square[None])[0].reshape(5, -1) ** 2
    counted = one_by_one(square)
    for shares, kind in zip(
        found, ("first along", "first across", "second along", "second across", "bent"), strict=True
    ):
        counts = sorted(counted[kind].values())
        # The sum over both directions, each of which has shares that sum to 1.
        assert shares.sum() == pytest.approx(2)
        assert np.sort(shares)[-len(counts) :] * sum(counts) / 2 == pytest.approx(counts)
        assert (np.sort(shares)[: -len(counts)] == 0).all()


def test_there_are_195_finite_numbers_also_of_nothing() -> None:
    for given in (squares(3), np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 32, 32, 3), 255, np.uint8)):
        found = co_occurrences(given)
        assert found.shape == (len(given), COUNT) == (len(given), 195)
        assert np.isfinite(found).all()
    assert co_occurrences(squares(0)).shape == (0, 195)


def test_a_square_is_described_by_itself() -> None:
    given = squares(20)
    assert np.array_equal(co_occurrences(given), np.concatenate([co_occurrences(one[None]) for one in given]))


def test_turns_mirrors_and_negatives_are_alike() -> None:
    # Of a plane without ties: at a cut itself the classes of x and -x are no mirror images.
    given = squares(4, deviation=20)
    before = co_occurrences(given)
    for changed in (given[:, ::-1], given[:, :, ::-1], given.transpose(0, 2, 1, 3), 255 - given):
        assert co_occurrences(np.ascontiguousarray(changed)) == pytest.approx(before, abs=0.02)


def test_strength_does_not_matter_and_smoothness_does() -> None:
    weak, strong = (co_occurrences(squares(8, deviation=deviation, side=128)) for deviation in (10, 25))
    blurred = squares(8, deviation=25, side=128).astype(np.float64)
    blurred = (blurred[:, :-1] + blurred[:, 1:]) / 2
    smooth = co_occurrences(np.rint(blurred).astype(np.uint8))
    apart = [np.abs(one - other).mean() for one, other in pairwise((weak, strong, smooth))]
    assert apart[0] < 0.25 * apart[1]
