"""Holding out whole groups of photographs, so that a choice is judged on sources it has not seen.

Here belongs the one way of splitting; what is fitted and judged on the parts belongs to `mixture` and `density`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_PARTS = 4


def held_out_parts(groups: npt.ArrayLike, seed: int) -> Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Up to four times the rows to fit on and the rows held out, given each row's group (n,).

    Each row is held out once, all rows of a group together. ValueError for fewer than two groups.
    """
    # Loaded here: it is fitting alone that needs scikit-learn, and an answer does not wait for it.
    from sklearn.model_selection import GroupKFold

    names: npt.NDArray[Any] = np.asarray(groups)
    parts = min(MOST_PARTS, len(np.unique(names)))
    if parts < 2:
        raise ValueError("holding groups out needs at least 2 groups")
    return list(GroupKFold(parts, shuffle=True, random_state=seed).split(names, groups=names))
