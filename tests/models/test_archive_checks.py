import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.archive_checks import Fit, beside_reference, examined, expected_flags, self_check
from models.conformal import TooFewCalibrationScoresError
from models.recalibration import Scored
from tests.models.test_recalibration import detector_of, draw

STEADY = settings(deadline=None, derandomize=True)


def shifted(photographs: list[Scored], by: float) -> list[Scored]:
    return [Scored(one.group, {part: found + by for part, found in one.scores.items()}) for one in photographs]


@pytest.mark.parametrize(
    ("shift", "generated", "fit"),
    [
        (0.0, 0, Fit.FITS),
        (1.5, 0, Fit.HIGHER),
        (-1.5, 0, Fit.LOWER),
        (0.0, 40, Fit.SOME_GENERATED),
        (40.0, 0, Fit.HIGHER),
    ],
)
def test_an_archive_is_told_by_its_scores(shift: float, generated: int, fit: Fit) -> None:
    rng = np.random.default_rng(3)
    detector = detector_of(draw(rng, 300))
    archive = draw(rng, 200, shift=shift) + draw(rng, generated, shift=8)
    found = beside_reference(detector, examined(detector, archive))
    assert found.fit == fit
    assert found.flagged.n == 200 + generated
    assert found.flagged.low <= found.flagged.rate <= found.flagged.high


def test_the_realised_rate_stays_in_its_bounds_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    detector = detector_of(draw(rng, 50))
    within = 0
    for seed in range(60):
        check = self_check(detector, draw(rng, 120), 0.1, seed)
        assert check is not None
        within += check.expected[0] <= check.realised.flagged <= check.expected[1]
    assert within >= 0.9 * 60


def test_whole_groups_are_held_out_and_a_strange_one_is_seen() -> None:
    rng = np.random.default_rng(5)
    detector = detector_of(draw(rng, 50))
    archive = shifted(draw(rng, 120, groups=1), 0) + [
        Scored("strange", one.scores) for one in shifted(draw(rng, 119), 5)
    ]
    check = self_check(detector, archive, 0.05)
    assert check is not None
    assert (check.by_group, check.calibrated_groups, check.held_out_groups) == (True, 1, 1)
    assert (check.calibrated_on, check.realised.n) == (120, 119)
    assert not check.kept
    assert check.realised.low > 0.05
    # The same photographs, halved without their groups, say nothing of it.
    mixed = [Scored(str(number), one.scores) for number, one in enumerate(archive)]
    blind = self_check(detector, mixed, 0.05)
    assert blind is not None
    assert not blind.by_group
    assert blind.kept


def test_the_self_check_needs_enough_in_one_half() -> None:
    rng = np.random.default_rng(6)
    detector = detector_of(draw(rng, 50))
    assert self_check(detector, draw(rng, 36, groups=36), 0.05) is None
    assert self_check(detector, draw(rng, 1), 0.4) is None
    check = self_check(detector, draw(rng, 38, groups=38), 0.05)
    assert check is not None
    assert (check.calibrated_on, check.realised.n) == (19, 19)
    # All of one group: photographs are halved.
    alone = self_check(detector, draw(rng, 38, groups=1), 0.05)
    assert alone is not None
    assert not alone.by_group


def test_the_self_check_of_a_seed_is_the_same_each_time() -> None:
    rng = np.random.default_rng(7)
    detector, archive = detector_of(draw(rng, 50)), draw(rng, 90, groups=30)
    assert self_check(detector, archive, 0.1, 1) == self_check(detector, archive, 0.1, 1)
    assert self_check(detector, archive, 0.1, 1) != self_check(detector, archive, 0.1, 2)


@STEADY
@given(st.integers(19, 400), st.integers(1, 400))
def test_more_are_expected_where_more_may_be_flagged(calibrated_on: int, judged: int) -> None:
    low, high = expected_flags(calibrated_on, judged, 0.05)
    more_low, more_high = expected_flags(calibrated_on, judged, 0.2)
    assert 0 <= low <= high <= judged
    assert (low, high) <= (more_low, more_high)


def test_no_bounds_for_a_rate_that_cannot_be_kept() -> None:
    with pytest.raises(TooFewCalibrationScoresError):
        expected_flags(18, 100, 0.05)
