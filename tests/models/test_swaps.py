import numpy as np
import pytest

from models.plausibility import Claimed
from models.swaps import JOINT, NAMES, Told, cross_fitted, exchange, halves, told
from tests.models.claimed_photographs import VOCABULARY, Photographs, photographs


def measured(made: Photographs) -> dict[str, Told]:
    parts = halves(made.outputs, made.claimed, made.groups)
    own = cross_fitted(parts, made.outputs, made.claimed)
    exchanged = exchange(parts, made.outputs, made.claimed, made.groups)
    return dict(told(exchanged, own, made.groups, np.ones(len(exchanged.first), dtype=np.bool_)))


def test_halves_have_not_seen_the_sources_they_judge() -> None:
    made = photographs()
    first, second = halves(made.outputs, made.claimed, made.groups)
    assert not set(made.groups[first.rows]) & set(made.groups[second.rows])
    assert sorted([*first.rows, *second.rows]) == list(range(len(made.groups)))
    # What judges the first half is learned of the second: changing the first changes nothing.
    outputs = {tag: found.copy() for tag, found in made.outputs.items()}
    outputs["iso"][first.rows] = 0.0
    again = halves(outputs, made.claimed, made.groups)[0]
    assert again.plausibility.tags["iso"] == first.plausibility.tags["iso"]
    with pytest.raises(ValueError, match="at least 2 sources"):
        halves(made.outputs, made.claimed, np.zeros(len(made.groups)))


def test_what_the_heads_know_tells_swapped_metadata() -> None:
    found = measured(photographs())
    for tag in ("iso", "make", JOINT):
        area = found[tag].auroc
        assert area.value is not None
        assert area.low is not None
        assert area.low > 0.6
        assert area.value < 1
    assert (found[JOINT].sources, found[JOINT].photographs) == (20, 200)
    assert found["iso"].found is not None
    assert found["iso"].found > 0.15


def test_rare_values_do_not_give_themselves_away() -> None:
    """A judgement by the value alone is worth exactly one half, however rare the value."""
    made = photographs()
    rows = [{**row, "iso": 100.0 if number % 10 else 6400.0} for number, row in enumerate(made.rows)]
    claimed = Claimed.of(rows, VOCABULARY)
    blind = {tag: np.zeros_like(found) for tag, found in made.outputs.items()}
    parts = halves(made.outputs, made.claimed, made.groups)
    exchanged = exchange(parts, blind, claimed, made.groups)
    own = cross_fitted(parts, blind, claimed)
    # Each half has a line of its own, so each is looked at alone.
    inside = np.isin(exchanged.first, parts[0].rows)
    area = told(exchanged, own, made.groups, inside)["iso"].auroc
    assert area.value == pytest.approx(0.5)


def test_heads_that_know_nothing_are_at_chance() -> None:
    found = measured(photographs(sources=60, knowing=0.0))
    for tag in ("iso", "make", JOINT):
        area = found[tag].auroc
        if area.value is not None:
            assert area.low is not None
            assert area.high is not None
            assert area.low < 0.5 < area.high


def test_pairs_are_of_different_sources_and_claims() -> None:
    made = photographs()
    parts = halves(made.outputs, made.claimed, made.groups)
    exchanged = exchange(parts, made.outputs, made.claimed, made.groups)
    assert (made.groups[exchanged.first] != made.groups[exchanged.second]).all()
    pairs = np.stack([exchanged.first, exchanged.second], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    same = made.claimed.numbers[exchanged.first] == made.claimed.numbers[exchanged.second]
    assert not exchanged.differs[:, :-1][same].any()
    assert exchanged.differs[:, NAMES.index("make")].mean() == pytest.approx(0.5, abs=0.1)


def test_without_a_pair_there_is_nothing_to_tell() -> None:
    made = photographs(sources=2, each=30)
    found = measured(made)
    assert found[JOINT] == found["iso"]
    assert (found["iso"].pairs, found["iso"].auroc.value, found["iso"].found) == (0, None, None)
