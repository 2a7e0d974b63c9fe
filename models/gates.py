"""What a new detector is asked before it may answer: rules on numbers, each answered with both numbers in words.

The rules belong here. What they are measured on, who is compared and what becomes of the answer belong to the stages.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.flag_counts import flag_counts

MARGIN = 0.02
"""A challenger may fall below the best former champion by so much, and no more: small losses do not add up."""
_COVERAGE = 0.99
"""Of the interval of a realised rate. A retraining a week, asked twice each, is refused by chance once a year."""


@dataclass(frozen=True)
class Gate:
    """One answer. `bound` is the least value, or the nominal rate; `low` and `high` the interval a rate has to be in.

    `champion_value` and `best` are of the champion and of the best former one; None where there is none.
    """

    value: float | None
    passed: bool
    reason: str
    champion_value: float | None = None
    bound: float | None = None
    low: float | None = None
    high: float | None = None


def not_worse(what: str, value: float | None, champion: float | None, former: list[float]) -> Gate:
    """Whether a challenger does not fall below the best former champion by more than `MARGIN`.

    `former` are the values of former champions that were measured on the same. Passed where there is nothing to measure
    or nobody to compare with.
    """
    if value is None:
        return Gate(None, True, f"{what}: nothing to measure it on", champion)
    known = [each for each in (champion, *former) if each is not None]
    if not known:
        return Gate(value, True, f"{what} {value:.3f}; no champion to compare it with")
    best = max(known)
    bound = best - MARGIN
    against = f"the champion's {champion:.3f}" if champion is not None else "no value of the champion"
    reason = f"{what} {value:.3f} against {against}; the best champion had {best:.3f}, the least is {bound:.3f}"
    return Gate(value, value >= bound, reason, champion, bound)


def realised_rate(what: str, flagged: npt.NDArray[np.bool_], nominal: float, calibration: int) -> Gate:
    """Whether the share of photographs flagged (n,) is one that the nominal rate gives.

    The threshold is a rank among `calibration` photographs; the share has to be in the central 99% of what that gives
    for exchangeable ones (`flag_counts`).
    """
    photographs = len(flagged)
    if photographs == 0:
        return Gate(None, True, f"photographs of {what} flagged: there are none", bound=nominal)
    law = flag_counts(photographs, calibration, nominal)
    low, high = (float(end) / photographs for end in law.interval(_COVERAGE))
    realised = float(flagged.mean())
    passed = low <= realised <= high
    where = "within" if passed else "outside"
    reason = (
        f"{realised:.1%} of {photographs} photographs of {what} flagged at a nominal {nominal:.0%}: "
        f"{where} {low:.1%} to {high:.1%}"
    )
    return Gate(realised, passed, reason, bound=nominal, low=low, high=high)
