from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.pretext import (
    CATEGORICAL,
    RANKED,
    TAGS,
    PretextHeads,
    TargetsError,
    Vocabulary,
    classification_loss,
    losses,
    read_targets,
    thurstone_loss,
)


def vocabulary(**classes: tuple[str, ...]) -> Vocabulary:
    return Vocabulary({tag: classes.get(tag, ("a", "b")) for tag in CATEGORICAL})


def labels(**given: list[str | None]) -> dict[str, list[str | None]]:
    return {tag: given.get(tag, []) for tag in CATEGORICAL}


def test_fourteen_tags() -> None:
    assert len(TAGS) == 14
    assert sum(CATEGORICAL.values()) + len(RANKED) == 41


def test_vocabulary_takes_the_most_frequent_values_then_other() -> None:
    flashes: list[str | None] = [*"aaabbbccdde", None]
    made = Vocabulary.of(labels(flash=flashes, white_balance=["auto", "manual"], exposure_mode=["auto"]))
    assert made.classes["flash"] == ("a", "b", "c", "other")
    assert made.encode("flash", ["b", "e", "never seen", None]).tolist() == [1, 3, 3, -1]
    assert made.classes["white_balance"] == ("auto", "manual")
    assert made.encode("white_balance", ["manual", "never seen"]).tolist() == [1, -1]
    assert made.learnable("white_balance")
    assert not made.learnable("exposure_mode")
    assert not made.learnable("make")


def test_a_label_that_is_itself_other_shares_the_last_class() -> None:
    made = Vocabulary.of(labels(flash=[*["other"] * 9, *"aabbccdd"]))
    assert made.classes["flash"] == ("a", "b", "c", "other")
    assert made.encode("flash", ["other", "d"]).tolist() == [3, 3]


def test_vocabulary_returns_from_json_and_refuses_another_version() -> None:
    made = vocabulary(make=("nikon", "other"))
    assert Vocabulary.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="version 2"):
        Vocabulary.from_json(made.to_json().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="tags"):
        Vocabulary.from_json(made.to_json().replace('"make"', '"maker"'))


def test_thurstone_loss_is_the_mean_over_all_untied_pairs() -> None:
    scores = torch.tensor([0.3, -1.0, 2.0, 0.7], dtype=torch.float64, requires_grad=True)
    values = torch.tensor([1.0, 2.0, math.nan, 1.0], dtype=torch.float64)
    # Pairs with an order: 1 above 0, 1 above 3; 0 and 3 tie; 2 is missing.
    expected = [-math.log(0.5 * (1 + math.erf((a - b) / math.sqrt(2)))) for a, b in [(-1.0, 0.3), (-1.0, 0.7)]]
    loss = thurstone_loss(scores, values)
    assert loss.item() == pytest.approx(sum(expected) / 2)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[2] == 0
    assert gradient[1] < 0 < gradient[0]


def test_thurstone_loss_stays_finite_far_from_the_truth() -> None:
    scores = torch.tensor([-200.0, 200.0], requires_grad=True)
    loss = thurstone_loss(scores, torch.tensor([1.0, 0.0]))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("values", [[1.0, 1.0], [math.nan, 1.0], [math.nan, math.nan]])
def test_ranking_without_a_pair_gives_zero_loss_and_gradient(values: list[float]) -> None:
    scores = torch.tensor([0.5, -0.5], requires_grad=True)
    loss = thurstone_loss(scores, torch.tensor(values))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert loss == 0
    assert gradient.abs().sum() == 0


def test_classification_loss_masks_missing_labels() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    loss = classification_loss(logits, torch.tensor([0, -1, 1]))
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2)
    assert classification_loss(logits, torch.tensor([-1, -1, -1])) == 0


def test_heads_answer_every_tag_and_a_tag_without_classes_costs_nothing() -> None:
    heads = PretextHeads(10, vocabulary(make=("nikon", "canon", "other"), flash=("off",), model=()))
    outputs = heads(torch.randn(5, 10))
    assert outputs["make"].shape == (5, 3)
    assert outputs["iso"].shape == (5,)
    codes = torch.zeros(5, 7, dtype=torch.int64)
    codes[:, list(CATEGORICAL).index("model")] = -1
    by_tag = losses(outputs, codes, torch.randn(5, 7))
    assert list(by_tag) == list(TAGS)
    assert by_tag["flash"] == 0
    assert by_tag["model"] == 0
    assert all(by_tag[tag] > 0 for tag in ("make", *RANKED))


def test_published_heads_have_41_outputs() -> None:
    full = {tag: tuple(f"{i}" for i in range(count)) for tag, count in CATEGORICAL.items()}
    heads = PretextHeads(528, Vocabulary(full))
    outputs = heads(torch.zeros(1, 528))
    assert sum(output.numel() for output in outputs.values()) == 41


def row(**given: Any) -> dict[str, Any]:
    return {
        "photo_id": "p",
        "group": "g",
        "fold": 0,
        **dict.fromkeys(CATEGORICAL, "x"),
        **dict.fromkeys(RANKED, 2.0),
        **given,
    }


def test_targets_are_read_in_their_natural_scale_with_missing_kept_missing(tmp_path: Path) -> None:
    rows = [
        row(photo_id="b", iso=800.0, exposure_bias_ev=-0.5, make=None),
        row(photo_id="a", iso=0.0, exposure_bias_ev=0.0, f_number=None, fold=3),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "targets.parquet")
    targets = read_targets(tmp_path / "targets.parquet")
    column = {tag: targets.values[:, i] for i, tag in enumerate(RANKED)}
    assert targets.photo_ids == ["a", "b"]
    assert np.isnan(column["iso"][0])
    assert column["iso"][1] == pytest.approx(math.log2(800))
    assert column["exposure_bias_ev"].tolist() == [0.0, -0.5]
    assert np.isnan(column["f_number"][0])
    assert targets.labels["make"] == ["x", None]
    assert targets.vocabulary().classes["make"] == ()
    assert targets.rows([3]).tolist() == [0]


def test_unusable_targets_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.parquet"
    pq.write_table(pa.Table.from_pylist([row(), row()]), path)
    with pytest.raises(TargetsError, match="twice"):
        read_targets(path)
    pq.write_table(pa.Table.from_pylist([row()]).drop_columns(["iso"]), path)
    with pytest.raises(TargetsError, match="no column iso"):
        read_targets(path)
