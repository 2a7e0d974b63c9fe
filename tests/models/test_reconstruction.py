"""The network that tells reconstructions, and the part of the detector made of it."""

import numpy as np
import pytest
import torch

from models.parts import part_of
from models.reconstruction import (
    NetworkPart,
    ReconstructionNetwork,
    fit_network_part,
    logits_of,
    luma_of,
    network_of,
)
from models.squares import Squares, squares


def network(seed: int = 0) -> ReconstructionNetwork:
    torch.manual_seed(seed)
    return ReconstructionNetwork().eval()


def seen(count: int = 3, seed: int = 0) -> Squares:
    return squares(np.random.default_rng(seed).integers(0, 256, (128, 128 * count, 3), dtype=np.uint8))


@pytest.mark.parametrize("side", [32, 96, 128])
def test_one_logit_a_square_of_any_side(side: int) -> None:
    with torch.inference_mode():
        assert network()(torch.rand(5, 1, side, side) * 255).shape == (5,)


def test_brightness_says_nothing() -> None:
    luma = torch.rand(2, 1, 64, 64) * 100
    with torch.inference_mode():
        assert torch.allclose(network()(luma), network()(luma + 100), atol=1e-3)


def test_every_weight_is_learned() -> None:
    learning = network().train()
    learning(torch.rand(4, 1, 64, 64) * 255).square().sum().backward()
    for name, parameter in learning.named_parameters():
        assert parameter.grad is not None, name
        # The last bias aside, what a batch has in common is taken off behind each convolution.
        assert parameter.grad.isfinite().all(), name


def test_logits_do_not_depend_on_what_stands_beside() -> None:
    pixels = seen(7).pixels
    together = logits_of(network(), pixels, together=3)
    alone = np.concatenate([logits_of(network(), pixels[row : row + 1]) for row in range(len(pixels))])
    assert together == pytest.approx(alone, abs=1e-5)
    assert logits_of(network(), pixels[:0]).shape == (0,)


def test_luma_is_that_of_jpeg() -> None:
    pixels = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], dtype=np.uint8)
    assert luma_of(pixels)[0, 0, 0].tolist() == pytest.approx([76.245, 149.685, 29.07, 255.0], abs=1e-3)


def fitted() -> tuple[NetworkPart, Squares]:
    parts = [seen(4, seed) for seed in range(12)]
    together = Squares(*(np.concatenate([getattr(part, name) for part in parts]) for name in Squares.__annotations__))
    groups = np.repeat(np.arange(12), 4)
    networks = [network(0), network(1)]
    logits = [logits_of(each, together.pixels) for each in networks]
    return fit_network_part("reconstruction", networks, logits, together.covariates, groups), together


def test_scores_of_the_photographs_it_is_normalised_on_have_mean_0_and_deviation_1() -> None:
    part, together = fitted()
    for normaliser, each in zip(part.normalisers, part.networks, strict=True):
        scores = normaliser.apply(logits_of(each, together.pixels), together.covariates)
        assert scores.mean() == pytest.approx(0, abs=0.1)
        assert scores.std() == pytest.approx(1, abs=0.1)


def test_a_stored_part_scores_the_same() -> None:
    part, together = fitted()
    again = part_of(*part.stored())
    assert np.array_equal(again.scores(together), part.scores(together))


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(RuntimeError, match="filters"):
        network_of({"filters": np.zeros((3, 1, 5, 5), dtype=np.float32)})
