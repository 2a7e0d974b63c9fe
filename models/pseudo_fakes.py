"""Reconstructions of photographs in the place of generated images, each beside the photograph it was made from.

Here belong how a reconstruction is brought near its photograph, so that the making is all that tells them apart, and
what both then pass together. The autoencoders are in `autoencoders`, what learns from the pairs in
`reconstruction_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.autoencoders import Autoencoder
from models.views import finishing

# Where the energy of fine structure is moved towards the photograph's: so far, between these exponents, and at most by
# these factors, so that neither blur nor energy gives the reconstruction away.
_EXPONENTS, _GAINS = (-0.4, 1.6), (0.4, 4.0)
# Sides of the means that take off brightness, fine structure, and that gather its energy.
_LOW, _FINE, _AROUND = 17, 5, 17
_RESAMPLED = 0.15


@dataclass(frozen=True)
class Pairs:
    """Photographs and their reconstructions, each (B, side, side, 3) uint8, and the make of each reconstruction."""

    photographs: npt.NDArray[np.uint8]
    fakes: npt.NDArray[np.uint8]
    makes: Sequence[str]


RESAMPLED = "resampled"


def pairs(views: npt.NDArray[np.uint8], autoencoders: Sequence[Autoencoder], rng: np.random.Generator) -> Pairs:
    """Pairs (B, S - 16, S - 16, 3) of views (B, S, S, 3) with S a multiple of 8, of three makes at most.

    Both of a pair share the content, an earlier JPEG, the crop and the last JPEG. In the place of an autoencoder some
    views are made smaller and larger again.
    """
    given = torch.from_numpy(views).permute(0, 3, 1, 2).float()  # channels last in memory, as the networks are
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    fakes, makes = torch.empty_like(given), [""] * len(views)
    for rows in np.array_split(rng.permutation(len(views)), 3):
        if not len(rows):
            continue
        chosen = torch.from_numpy(np.sort(rows))
        if rng.random() < _RESAMPLED:
            rebuilt, make = _resampled(given[chosen], rng), RESAMPLED
        else:
            autoencoder = autoencoders[int(rng.integers(len(autoencoders)))]
            rebuilt, make = rebuild(autoencoder, given[chosen], generator), autoencoder.make.name
        exponents = torch.from_numpy(rng.uniform(*_EXPONENTS, len(rows))).float()
        fakes[chosen] = matched(given[chosen], rebuilt, exponents)
        for row in rows:
            makes[row] = make
    made = _pixels(fakes)
    finished = [_finished(photograph, fake, rng) for photograph, fake in zip(views, made, strict=True)]
    photographs, rebuilt_images = (np.stack(side) for side in zip(*finished, strict=True))
    return Pairs(photographs, rebuilt_images, makes)


def square_pair(
    view: npt.NDArray[np.uint8], autoencoder: Autoencoder, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A view (S, S, 3), S a multiple of 8, and its reconstruction, after the same end: each (S - 16, S - 16, 3)."""
    given = torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float()
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    rebuilt = matched(given, rebuild(autoencoder, given, generator), torch.tensor([rng.uniform(*_EXPONENTS)]).float())
    return _finished(view, _pixels(rebuilt)[0], rng)


def rebuild(autoencoder: Autoencoder, images: Tensor, generator: torch.Generator) -> Tensor:
    """Reconstructions of images (B, 3, H, W), values 0 to 255."""
    with torch.inference_mode():
        rebuilt: Tensor = autoencoder(images / 127.5 - 1, generator)
        return (rebuilt + 1) * 127.5


def matched(images: Tensor, rebuilt: Tensor, exponents: Tensor) -> Tensor:
    """Reconstructions (B, 3, H, W) with the images' brightness, and energy of fine structure nearer to theirs.

    Locally, the energy is moved by the power of an exponent (B,): 0 leaves it, 1 makes it the image's.
    """
    near = rebuilt + _mean(images, _LOW) - _mean(rebuilt, _LOW)
    fine = near - _mean(near, _FINE)
    energy, wanted = (_energy(part - _mean(part, _FINE)) for part in (near, images))
    gains = (wanted / energy).pow(0.5 * exponents.view(-1, 1, 1, 1)).clamp(*_GAINS)
    return near + (gains - 1) * fine


def _pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """Images (B, 3, H, W) as pixels (B, H, W, 3)."""
    return images.round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).numpy()


def _energy(fine: Tensor) -> Tensor:
    """Local mean square over the colours (B, 1, H, W); the added grey level keeps flat places as they are."""
    return _mean(fine.square().mean(dim=1, keepdim=True), _AROUND) + 1.0


def _mean(images: Tensor, side: int) -> Tensor:
    # One direction after the other: the means are the same, and a tenth of the work.
    padded = F.pad(images, [side // 2] * 4, mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), stride=1), (1, side), stride=1)


def _resampled(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images made smaller and larger again."""
    modes = ("bilinear", "bicubic", "nearest")
    side = images.shape[-1]
    small = max(8, round(side / rng.uniform(1.3, 4)))
    down = F.interpolate(images, size=(small, small), mode=modes[int(rng.integers(2))], antialias=True)
    mode = modes[int(rng.integers(3))]
    aligned = {} if mode == "nearest" else {"align_corners": False}
    return F.interpolate(down, size=(side, side), mode=mode, **aligned)


def _finished(
    photograph: npt.NDArray[np.uint8], fake: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Both of a pair at their end, which is the same."""
    finish = finishing(len(photograph), rng)
    return finish(photograph), finish(fake)
