from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from models.pretext import CATEGORICAL, RANKED, Targets
from models.validation import classification, ranking, score, validate


def test_accuracy_and_majority_of_the_validation_photographs() -> None:
    codes, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    entry = classification(predicted, codes, ["a", "a", "b", "b", "c"])
    assert entry["accuracy"] == pytest.approx(3 / 5)
    assert entry["baseline"] == pytest.approx(3 / 5)
    assert (entry["labelled"], entry["groups"]) == (5, 3)


def test_ranking_counts_pairs_as_a_double_loop_does() -> None:
    rng = np.random.default_rng(0)
    values, scores = rng.integers(6, size=50).astype(float), rng.integers(9, size=50).astype(float)
    groups = [f"g{i}" for i in rng.integers(7, size=50)]
    right = pairs = right_within = pairs_within = 0.0
    for i, j in itertools.combinations(range(50), 2):
        if values[i] == values[j]:
            continue
        agreement = (scores[i] - scores[j]) * (values[i] - values[j])
        credit = 0.5 if agreement == 0 else float(agreement > 0)
        pairs, right = pairs + 1, right + credit
        if groups[i] == groups[j]:
            pairs_within, right_within = pairs_within + 1, right_within + credit
    entry = ranking(scores, values, groups)
    assert entry["accuracy"] == pytest.approx(right / pairs)
    assert entry["pairs"] == pairs
    assert entry["tie_rate"] == pytest.approx(1 - pairs / (50 * 49 / 2))
    assert entry["within_group_accuracy"] == pytest.approx(right_within / pairs_within)
    assert entry["within_group_pairs"] == pairs_within


def test_interval_holds_the_accuracy_and_widens_with_fewer_groups() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    scores = values + rng.normal(size=400)

    def width(groups: NDArray[np.int64]) -> float:
        entry = ranking(scores, values, [str(group) for group in groups])
        assert entry["interval"] is not None
        assert entry["accuracy"] is not None
        low, high = entry["interval"]
        assert low < entry["accuracy"] < high
        return high - low

    many, few = width(np.arange(400)), width(np.arange(400) // 80)
    # Photographs of a group that err together: the same accuracy, known less well.
    scores = np.where(np.arange(400) // 80 == 0, -values, scores)
    assert width(np.arange(400) // 80) > few
    assert many < 0.1


def test_group_bootstrap_equals_drawing_the_groups_by_hand() -> None:
    rng = np.random.default_rng(2)
    codes, predicted = rng.integers(3, size=60), rng.integers(3, size=60)
    groups = rng.integers(8, size=60)
    entry = classification(predicted, codes, [str(g) for g in groups], seed=5)
    draws = np.random.default_rng(5).multinomial(8, np.full(8, 1 / 8), size=1000)
    by_hand = []
    for draw in draws:
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), draw[g]) for g in range(8)])
        by_hand.append((predicted[rows] == codes[rows]).mean())
    assert entry["interval"] == pytest.approx(np.quantile(by_hand, [0.025, 0.975]).tolist())


def test_nothing_to_judge_is_null_not_zero() -> None:
    empty = ranking(np.array([]), np.array([]), [])
    tied = ranking(np.array([1.0, 2.0]), np.array([3.0, 3.0]), ["a", "b"])
    assert empty["accuracy"] is None
    assert tied["accuracy"] is None
    assert tied["tie_rate"] == 1
    assert ranking(np.array([1.0, 2.0]), np.array([3.0, 4.0]), ["a", "a"])["interval"] is None


def targets(makes: list[str | None]) -> Targets:
    n = len(makes)
    same: list[str | None] = ["x"] * n
    return Targets(
        photo_ids=[str(i) for i in range(n)],
        groups=[str(i) for i in range(n)],
        folds=np.array([0] * (n - 4) + [3] * 4),
        labels={tag: makes if tag == "make" else same for tag in CATEGORICAL},
        values=np.full((n, len(RANKED)), np.nan),
    )


def test_makes_never_seen_in_training_are_left_out() -> None:
    trained: list[str | None] = [name for name in "abcdefgh" for _ in range(2)]
    made = targets([*trained, "a", "h", "unseen", None])
    vocabulary = made.vocabulary()
    assert vocabulary.classes["make"][-1] == "other"
    rows = made.rows([3])
    outputs: dict[str, NDArray[np.float64]] = {
        tag: np.zeros((4, max(1, len(vocabulary.classes[tag])))) for tag in CATEGORICAL
    }
    outputs.update({tag: np.zeros(4) for tag in RANKED})
    outputs["make"][1, 6] = 1
    table = validate(outputs, made, rows, vocabulary)
    assert table["make"]["labelled"] == 2
    assert table["make"]["accuracy"] == 1
    assert table["make"]["classes"] == 7
    # One class alone, and a tag without values: nothing to judge, nothing in the score.
    assert table["flash"]["accuracy"] is None
    assert table["iso"]["accuracy"] is None
    assert score(table) == pytest.approx(1 - 0.5)
