"""Pairs of one photograph: seeded by its content, of one place each."""

import hashlib

import numpy as np
import pytest
import torch

from models.autoencoders import MAKES, Autoencoder
from models.rebuilt_squares import LEAST, rebuilt_squares
from models.squares import SIDE
from tests.models.synthetic_images import picture

SHA256 = hashlib.sha256(b"photograph").hexdigest()


@pytest.fixture(scope="module")
def untrained() -> list[Autoencoder]:
    torch.manual_seed(0)
    return [Autoencoder(make).eval() for make in MAKES[:2]]


def test_pairs_are_the_same_for_the_same_photograph(untrained: list[Autoencoder]) -> None:
    image = picture(np.random.default_rng(0), False, 300)
    first, again = (list(rebuilt_squares(image, SHA256, untrained, 6)) for _ in range(2))
    assert len(first) == 6
    assert {make for make, _, _ in first} == {make.name for make in MAKES[:2]}
    for (make, photograph, made), (make_again, photograph_again, made_again) in zip(first, again, strict=True):
        assert make == make_again
        assert np.array_equal(photograph, photograph_again)
        assert np.array_equal(made, made_again)
        assert photograph.shape == made.shape == (SIDE, SIDE, 3)
        assert not np.array_equal(photograph, made)
    assert not np.array_equal(first[0][1], first[1][1])
    other = list(rebuilt_squares(image, SHA256[::-1], untrained, 1))
    assert not np.array_equal(other[0][1], first[0][1])


def test_a_small_photograph_has_none(untrained: list[Autoencoder]) -> None:
    image = np.zeros((LEAST - 1, 400, 3), dtype=np.uint8)
    assert list(rebuilt_squares(image, SHA256, untrained, 2)) == []
    assert len(list(rebuilt_squares(np.zeros((LEAST, LEAST, 3), np.uint8), SHA256, untrained, 2))) == 2
