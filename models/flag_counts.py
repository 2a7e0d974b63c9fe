"""How many photographs a calibrated threshold flags: the law of their number.

What is made of it - a self-check of an archive, a gate, a warning - belongs to the modules that ask.
"""

from typing import Any

from scipy.stats import betabinom

from models.conformal import largest_rank


def flag_counts(judged: int, calibrated_on: int, fpr: float) -> Any:
    """The frozen distribution of how many of `judged` photographs are flagged, where all are exchangeable.

    The threshold is a rank among `calibrated_on` photographs, so the share above it is itself drawn, from a beta
    distribution, and the number is beta-binomial (V. Vovk, "Conditional validity of inductive conformal predictors",
    ACML 2012, proposition 2a). There have to be enough for the rate: `conformal.needed_scores`.
    """
    rank = largest_rank(fpr, calibrated_on)
    return betabinom(judged, rank, calibrated_on + 1 - rank)
