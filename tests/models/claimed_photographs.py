"""Made photographs of several sources: what heads would say of them, and what their metadata claims."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.plausibility import Claimed, Outputs
from models.pretext import CATEGORICAL, TAGS, Vocabulary

VOCABULARY = Vocabulary(dict.fromkeys(CATEGORICAL, ("a", "b")))
WIDTHS = [2 if tag in CATEGORICAL else 1 for tag in TAGS]


@dataclass(frozen=True)
class Photographs:
    """What heads say, what is claimed, sources; `rows` is the claims as typed EXIF."""

    outputs: Outputs
    claimed: Claimed
    groups: npt.NDArray[Any]
    rows: list[dict[str, Any]]


def photographs(sources: int = 20, each: int = 10, knowing: float = 1.0, seed: int = 0) -> Photographs:
    """Photographs with ISO, make and F-number: heads know ISO and make as `knowing` says, F-number never."""
    rng = np.random.default_rng(seed)
    n = sources * each
    stops, make = rng.normal(0, 2, n), rng.integers(2, size=n)
    rows: list[dict[str, Any]] = [
        {"iso": float(400 * 2**stop), "make": "ab"[code], "f_number": float(f_number)}
        for stop, code, f_number in zip(stops, make, rng.choice([2.8, 4.0, 8.0], n), strict=True)
    ]
    outputs = {tag: rng.normal(size=(n, 2) if tag in CATEGORICAL else n) for tag in TAGS}
    outputs["iso"] = outputs["iso"] + knowing * stops
    outputs["make"] = outputs["make"] + 3 * knowing * np.eye(2)[make]
    groups = np.array([f"source {number // each}" for number in range(n)])
    return Photographs(outputs, Claimed.of(rows, VOCABULARY), groups, rows)
