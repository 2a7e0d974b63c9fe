"""Pairs: what both share, and how near a reconstruction is brought to its photograph."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from models.autoencoders import MAKES, Autoencoder, Make
from models.pseudo_fakes import RESAMPLED, matched, pairs
from models.views import MARGIN


@pytest.fixture(scope="module")
def untrained() -> list[Autoencoder]:
    torch.manual_seed(0)
    return [Autoencoder(make).eval() for make in MAKES[:3]]


def views(count: int = 6, side: int = 64) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    small = rng.integers(64, 192, (count, side // 8, side // 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in small])


def test_pairs_are_the_same_for_the_same_seed(untrained: list[Autoencoder]) -> None:
    first, again = (pairs(views(), untrained, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.photographs, again.photographs)
    assert np.array_equal(first.fakes, again.fakes)
    assert first.makes == again.makes


def test_every_reconstruction_names_its_make_and_has_the_pair_s_size(untrained: list[Autoencoder]) -> None:
    names = {each.make.name for each in untrained} | {RESAMPLED}
    seen: set[str] = set()
    for seed in range(12):
        made = pairs(views(), untrained, np.random.default_rng(seed))
        assert made.fakes.shape == made.photographs.shape == (6, 64 - MARGIN, 64 - MARGIN, 3)
        seen |= set(made.makes)
    assert seen == names


def plain(make: Make) -> Autoencoder:
    """One that adds no detail to the mean colours it keeps."""
    network = Autoencoder(make).eval()
    for parameter in network.decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return network


def test_both_of_a_pair_show_the_same_place() -> None:
    made = pairs(views(), [plain(make) for make in MAKES[1:3]], np.random.default_rng(1))
    for photograph, fake in zip(made.photographs, made.fakes, strict=True):
        coarse = [
            np.asarray(Image.fromarray(image).resize((6, 6), Image.Resampling.BOX), dtype=np.float64)
            for image in (photograph, fake)
        ]
        assert np.abs(coarse[0] - coarse[1]).mean() < 12


def test_a_photograph_of_no_pair_is_changed_by_more_than_its_compressions(untrained: list[Autoencoder]) -> None:
    given = views()
    made = pairs(given, untrained, np.random.default_rng(2))
    for view, photograph in zip(given, made.photographs, strict=True):
        nearest = min(
            np.abs(view[top : top + 48, left : left + 48].astype(int) - photograph).mean()
            for top in range(MARGIN)
            for left in range(MARGIN)
        )
        assert nearest < 10


@pytest.mark.parametrize(("exponent", "ratio"), [(0.0, 0.25), (1.0, 1.0)])
def test_energy_of_fine_structure_is_moved_by_the_exponent(exponent: float, ratio: float) -> None:
    torch.manual_seed(0)
    image = 128 + 20 * torch.randn(1, 1, 96, 96).expand(1, 3, 96, 96)
    weaker = 128 + 10 * torch.randn(1, 1, 96, 96).expand(1, 3, 96, 96)

    def energy(images: torch.Tensor) -> float:
        return float(images[..., 24:-24, 24:-24].var())

    found = matched(image, weaker, torch.tensor([exponent]))
    assert energy(found) / energy(image) == pytest.approx(ratio, rel=0.2)


def test_brightness_becomes_the_image_s() -> None:
    image, darker = torch.full((1, 3, 40, 40), 200.0), torch.full((1, 3, 40, 40), 100.0)
    assert (matched(image, darker, torch.tensor([1.0])) - 200).abs().max() < 1e-3
