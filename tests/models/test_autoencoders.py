"""Autoencoders of every make rebuild images of any size that is a multiple of 8."""

import pytest
import torch

from models.autoencoders import HELD_OUT, MAKES, MULTIPLE, Autoencoder, Make


def make_network(make: Make) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(make).eval()


@pytest.mark.parametrize("make", MAKES, ids=lambda make: make.name)
def test_a_reconstruction_has_the_size_of_its_image(make: Make) -> None:
    images = torch.rand(2, 3, 5 * MULTIPLE, 3 * MULTIPLE) * 2 - 1
    with torch.inference_mode():
        rebuilt = make_network(make)(images)
    assert rebuilt.shape == images.shape
    assert rebuilt.isfinite().all()


@pytest.mark.parametrize("make", MAKES, ids=lambda make: make.name)
def test_the_noise_is_that_of_the_generator(make: Make) -> None:
    network, images = make_network(make), torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        first, again, other = (network(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_before_training_the_mean_colours_are_there() -> None:
    colours = torch.tensor([0.5, -0.25, -0.75]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    for make in MAKES:
        with torch.inference_mode():
            rebuilt = make_network(make)(colours)
        assert (rebuilt.mean(dim=(2, 3)) - colours.mean(dim=(2, 3))).abs().max() < 0.5, make.name


def test_the_makes_that_judge_differ_in_factor_and_enlargement_from_each_that_teaches() -> None:
    learned = {(make.factor, make.up) for make in MAKES if make.name not in HELD_OUT}
    judging = {(make.factor, make.up) for make in MAKES if make.name in HELD_OUT}
    assert len(judging) == len(HELD_OUT)
    assert not judging & learned
    assert len({make.name for make in MAKES}) == len(MAKES)
