"""Are photographs that came in since a detector was made still like those it was made from, and is retraining due?

Here belong the comparisons as numbers: counts and scores in, what was found and the reason in words out. Which
photographs are new, and having them judged, belongs to the stage. No rule knows what a photograph shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from scipy.stats import fisher_exact, ks_2samp

from models import conformal
from models.flag_counts import flag_counts
from models.metrics import realised_fpr

Floats = npt.NDArray[np.float64]

NEW_PHOTOGRAPHS, UNSEEN_MAKE, UNSEEN_MODEL = "new_photographs", "unseen_make", "unseen_model"
MISSING_TAG, SAMPLE, P_VALUES, FLAGGED = "missing_tag", "score_sample", "p_values", "flagged"
RETRAINING, ALL = "retraining", "all"
JUDGED, NOT_CHOSEN, NOT_DECODED = "judged", "not_chosen", "not_decoded"

ENOUGH = 40
"""New photographs that a rule on how many there are needs: fewer change no detector."""
NEW_SHARE = 0.1
UNSEEN_SHARE = 0.2
TAG_CHANCE, TAG_DIFFERENCE = 0.01, 0.15
"""A tag counts as drifted by both: of many photographs every difference is no chance, and most do not matter."""
ENOUGH_SCORES = 20
FLAGGED_CHANCE = 0.025
"""One end of the interval of `archive_checks.expected_flags`."""
_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One comparison: of what, whether it makes retraining due, and why in words.

    `before` and `now` are shares, `count_before` of `of_before` photographs and `count_now` of `of_now`; None: nothing
    of the kind. `low` and `high` are ends of the 95% interval of `now`, where a rule asks for it.
    """

    measure: str
    subject: str
    due: bool
    reason: str
    before: float | None = None
    now: float | None = None
    count_before: int | None = None
    of_before: int | None = None
    count_now: int | None = None
    of_now: int | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def new_photographs(new: int, here: int) -> Finding:
    """How many of the photographs that are here came in since. Due at 10% and at least 40."""
    share = new / here if here else 0.0
    due = new >= ENOUGH and share >= NEW_SHARE
    said = f"{new} of {here} photographs ({share:.1%}) are new; due at {NEW_SHARE:.0%} and at least {ENOUGH}"
    return Finding(NEW_PHOTOGRAPHS, ALL, due, said, now=_share(new, here), count_now=new, of_now=here)


def unseen(measure: str, before: Mapping[str, int], now: Mapping[str, int]) -> Finding:
    """How many new photographs have a make, or a model, that was not there before: photographs by its name.

    Due where at least 40 new ones have any, and the one-sided 95% bound of Clopper and Pearson is above 20%.
    """
    of_before, of_now = sum(before.values()), sum(now.values())
    others = {name: count for name, count in now.items() if name not in before}
    count, what = sum(others.values()), measure.removeprefix("unseen_")
    low = float(betaincinv(count, of_now - count + 1, 0.05)) if count else 0.0
    most = sorted(others, key=lambda name: (-others[name], name))[:_NAMED]
    named = f", most of all {', '.join(f'{name} ({others[name]})' for name in most)}" if most else ""
    if not of_before:
        due, said = False, f"no photograph with a {what} is left of those before: nothing to compare with"
    else:
        due = of_now >= ENOUGH and low > UNSEEN_SHARE
        said = (
            f"{count} of {of_now} new photographs with a {what} have one that none of the {of_before} before has{named}"
            f"; at least {low:.1%}, due above {UNSEEN_SHARE:.0%} of at least {ENOUGH}"
        )
    shares, counts = (_share(0, of_before), _share(count, of_now)), (0, of_before, count, of_now)
    return Finding(measure, ALL, due, said, *shares, *counts, low=low if of_now else None)


def missing_tags(
    missing_before: Mapping[str, int], of_before: int, missing_now: Mapping[str, int], of_now: int
) -> list[Finding]:
    """For each tag how many photographs lack it, before and now, by Fisher's exact test with Holm's correction.

    Due where the corrected p-value is below .01 and the shares differ by more than .15. A tag has the same place in
    both mappings. Nothing is found where there are no photographs on one side.
    """
    if not of_before or not of_now:
        return []
    tags = list(missing_before)
    tables = [
        [[missing_before[tag], of_before - missing_before[tag]], [missing_now[tag], of_now - missing_now[tag]]]
        for tag in tags
    ]
    corrected = holm([float(fisher_exact(table).pvalue) for table in tables])
    found = []
    for tag, p_value in zip(tags, corrected, strict=True):
        before, now = missing_before[tag] / of_before, missing_now[tag] / of_now
        due = p_value < TAG_CHANCE and abs(now - before) > TAG_DIFFERENCE
        said = (
            f"{tag} is missing in {now:.1%} of {of_now} new photographs and was in {before:.1%} of {of_before} (p = "
            f"{p_value:.2g}); due below {TAG_CHANCE:g} where they differ by more than {TAG_DIFFERENCE:.0%}"
        )
        counts = missing_before[tag], of_before, missing_now[tag], of_now
        found.append(Finding(MISSING_TAG, tag, due, said, before, now, *counts, p_value=p_value))
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p-values (n,) for that many looks, in their order."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return [float(value) for value in corrected]


def sample(new: int, chosen: int, judged: int) -> list[Finding]:
    """What became of the new photographs: judged, not chosen to be, chosen but not to be judged. They add up."""
    counts = {
        JUDGED: (judged, "new photographs were judged by the champion"),
        NOT_CHOSEN: (new - chosen, "new photographs were not chosen to be judged"),
        NOT_DECODED: (chosen - judged, "new photographs were chosen and have no pixels that can be judged"),
    }
    return [
        Finding(
            SAMPLE, subject, False, f"{n} of {new} new photographs {said}", None, _share(n, new), None, None, n, new
        )
        for subject, (n, said) in counts.items()
    ]


def scores(new: npt.ArrayLike, calibration: npt.ArrayLike, fpr: float) -> list[Finding]:
    """What a detector says of new photographs (m,), and said of those it is calibrated on (n,): scores.

    Their distribution by the one-sided test of Kolmogorov and Smirnov, towards high scores, which are small p-values;
    and the share flagged at the rate `fpr`. Both tests rank new photographs among the calibration ones: against the
    uniform distribution, and against the rate alone, they would take the luck of a small calibration for drift.

    Due where the interval of the share flagged lies above the rate, and no luck of the calibration explains it. Nothing
    is due of fewer than 20.
    """
    now, before = np.asarray(new, dtype=np.float64), np.asarray(calibration, dtype=np.float64)
    if len(now) < ENOUGH_SCORES:
        said = f"{len(now)} new photographs were judged; {ENOUGH_SCORES} are needed"
        return [Finding(measure, ALL, False, said, of_now=len(now)) for measure in (P_VALUES, FLAGGED)]
    p_values = conformal.p_value(now, before)
    # As in `combined`: of a calibration photograph, its rank among the others.
    own = (conformal.p_value(before, before) * (len(before) + 1) - 1) / len(before)
    found = ks_2samp(now, before, alternative="less", method="asymp")
    return [_distribution(p_values, own, float(found.statistic), float(found.pvalue)), _flagged(p_values, own, fpr)]


def _distribution(now: Floats, before: Floats, distance: float, chance: float) -> Finding:
    middle_before, middle_now = float(np.median(before)), float(np.median(now))
    said = (
        f"the median p-value of {len(now)} new photographs is {middle_now:.3f}, that of {len(before)} calibration ones "
        f"{middle_before:.3f}; they are smaller by a distance of {distance:.3f} (p = {chance:.2g}); shown only"
    )
    sizes = None, len(before), None, len(now)
    return Finding(P_VALUES, ALL, False, said, middle_before, middle_now, *sizes, p_value=chance)


def _flagged(now: Floats, before: Floats, fpr: float) -> Finding:
    (rate,) = realised_fpr(now, (fpr,))
    chance = float(flag_counts(rate.n, len(before), fpr).sf(rate.flagged - 1))
    due = rate.low > fpr and chance <= FLAGGED_CHANCE
    flagged_before = int((before <= fpr).sum())
    said = (
        f"{rate.flagged} of {rate.n} new photographs ({rate.rate:.1%}, interval {rate.low:.1%} to {rate.high:.1%}) are "
        f"flagged, {flagged_before} of {len(before)} calibration ones were (p = {chance:.2g}); due where the interval "
        f"is above {fpr:.1%} and p at most {FLAGGED_CHANCE:g}"
    )
    counts = flagged_before, len(before), rate.flagged, rate.n
    shares = _share(flagged_before, len(before)), rate.rate
    return Finding(FLAGGED, ALL, due, said, *shares, *counts, low=rate.low, high=rate.high, p_value=chance)


def retraining(findings: Sequence[Finding]) -> Finding:
    """Whether retraining is due: where any finding is."""
    due = [finding for finding in findings if finding.due]
    named = ", ".join(f.measure if f.subject == ALL else f"{f.measure} {f.subject}" for f in due)
    return Finding(RETRAINING, ALL, bool(due), f"due by {named}" if due else "not due by any measure")


def no_comparison(reason: str) -> list[Finding]:
    """What is found where there is nothing to compare with: retraining is due."""
    return [Finding(RETRAINING, ALL, True, reason)]


def _share(count: int, of: int) -> float | None:
    return count / of if of else None
