import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sampling import evenly


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8), count=st.integers(1, 150), seed=st.integers(0, 5))
def test_each_group_gives_as_many_rows_or_all_it_has(sizes: list[int], count: int, seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    chosen = evenly(groups, count, seed)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(groups))
    assert np.array_equal(chosen, np.sort(chosen))
    given_by = np.bincount(groups[chosen], minlength=len(sizes))
    short = given_by < np.array(sizes)
    # One that has rows left gives as many as the greatest, or one less.
    assert np.all(given_by[short] >= given_by.max() - 1)
    assert np.array_equal(chosen, evenly(groups, count, seed))
