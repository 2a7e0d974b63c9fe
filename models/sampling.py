"""Choosing some of many rows of photographs, so that no source outweighs the others.

Here belongs the choice alone; what is fitted on the rows belongs to `density`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def evenly(groups: npt.NDArray[Any], count: int, seed: int) -> npt.NDArray[np.int64]:
    """At most `count` rows, in order, given each row's group (n,): as many of each group, or all that it has."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, numbers = np.unique(groups, return_inverse=True)
    # Where each row stands within its group, in the random order.
    ranks = np.empty(len(groups), dtype=np.int64)
    by_group = order[np.argsort(numbers[order], kind="stable")]
    sizes = np.bincount(numbers, minlength=0)
    ranks[by_group] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = order[np.argsort(ranks[order], kind="stable")][:count]
    return np.sort(chosen)
