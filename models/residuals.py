"""The high-pass residuals of a patch and the stem that reads them.

Here belong the 30 fixed SRM kernels (Fridrich & Kodovsky 2012) and the first convolution over their maps, as
one exact composed convolution. What follows the stem is in `backbone`.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COUNT = 30
SIZE = 5

DIFFERENCE_GAIN = 5.0
"""Colour differences are so much weaker in photographs; the factor gives the stem's maps the strength they had."""

_NW, _N, _NE, _W, _E, _SW, _S, _SE = (
    (row, column) for row, column in itertools.product((-1, 0, 1), repeat=2) if (row, column) != (0, 0)
)
_SQUARE_3 = ((-1, 2, -1), (2, -4, 2), (-1, 2, -1))
_SQUARE_5 = (
    (-1, 2, -2, 2, -1),
    (2, -6, 8, -6, 2),
    (-2, 8, -12, 8, -2),
    (2, -6, 8, -6, 2),
    (-1, 2, -2, 2, -1),
)


def _along(direction: tuple[int, int], taps: dict[int, int]) -> Tensor:
    """Kernel with the given taps at multiples of a direction from the centre."""
    kernel = torch.zeros(SIZE, SIZE, dtype=torch.float64)
    for distance, value in taps.items():
        kernel[2 + distance * direction[0], 2 + distance * direction[1]] = value
    return kernel


def _square(rows: tuple[tuple[int, ...], ...]) -> Tensor:
    """Square kernel, zero-padded to 5 x 5."""
    kernel = torch.tensor(rows, dtype=torch.float64)
    return F.pad(kernel, [(SIZE - len(rows)) // 2] * 4)


def _edges(square: Tensor) -> list[Tensor]:
    """Upper, right, lower and left half of a square kernel, the middle line included."""
    upper, right = torch.zeros_like(square), torch.zeros_like(square)
    upper[:3], right[:, 2:] = square[:3], square[:, 2:]
    return [upper, right, upper.flip(0), right.flip(1)]


def srm_kernels(dtype: torch.dtype = torch.float32) -> Tensor:
    """The 30 normalised SRM kernels, shape (30, 1, 5, 5), in the published order.

    8 first-order, 4 second-order, 8 third-order, 4 edge 3x3, 4 edge 5x5, square 3x3, square 5x5.
    """
    square_3, square_5 = _square(_SQUARE_3), _square(_SQUARE_5)
    kernels = [
        *(_along(d, {0: -1, 1: 1}) for d in (_NW, _N, _NE, _W, _E, _SW, _S, _SE)),
        *(_along(d, {-1: 1, 0: -2, 1: 1}) / 2 for d in (_NW, _N, _NE, _W)),
        *(_along(d, {-1: 1, 0: -3, 1: 3, 2: -1}) / 3 for d in (_NW, _N, _NE, _E, _SE, _S, _SW, _W)),
        *(kernel / 4 for kernel in _edges(square_3)),
        *(kernel / 12 for kernel in _edges(square_5)),
        square_3 / 4,
        square_5 / 12,
    ]
    return torch.stack(kernels).unsqueeze(1).to(dtype)


class ResidualStem(nn.Module):
    """SRM residuals of every colour channel (90 maps, colour-major, zero padding 2), then a learned 3x3 convolution.

    Both steps are linear, so they run as one 7x7 convolution 3 -> C whose kernel is their composition,
    differentiable in the learned weights. On the outermost ring the zero padding of the residual maps leaves
    out the 3x3 taps that fall outside: its four sides and four corners have composed kernels of their own.
    Input (P, 3, H, W), output (P, C, H, W).
    """

    srm: Tensor
    taps: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3 * COUNT, channels, 3, padding=1)
        self.register_buffer("srm", srm_kernels(), persistent=False)
        # Which taps of one axis stay inside: at the first line, in the middle, at the last line.
        kept = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
        taps = kept[:, None, :, None] * kept[None, :, None, :]
        self.register_buffer("taps", taps.view(3, 3, 1, 1, 3, 3), persistent=False)

    def start_on_colour_differences(self) -> None:
        """Have every kernel see differences between the colours' residuals alone, until training has it otherwise.

        What all colours share, mostly the scene, goes: from each tap of a map its mean over the three colours is taken.
        """
        with torch.no_grad():
            by_colour = self.conv.weight.view(-1, 3, COUNT, 3, 3)
            by_colour.sub_(by_colour.mean(dim=1, keepdim=True)).mul_(DIFFERENCE_GAIN)

    def composed_kernels(self) -> Tensor:
        """Kernels (3, 3, C, 3, 7, 7) by row kind and column kind (first line, middle, last line)."""
        weight = self.conv.weight * self.taps
        channels = self.conv.out_channels
        kernels = F.conv_transpose2d(weight.reshape(-1, COUNT, 3, 3), self.srm)
        return kernels.view(3, 3, channels, 3, 7, 7)

    def forward(self, images: Tensor, scale: Tensor) -> Tensor:
        """Return the stem's convolution of the images (P, 3, H, W) divided by `scale` (3, 1, 1), H and W at least 3.

        The kernels are divided instead of the images, which is the same: both are linear.
        """
        kernels, bias = self.composed_kernels() / scale, self.conv.bias
        padded = F.pad(images, [3, 3, 3, 3])
        height, width = images.shape[-2:]
        spans = [(slice(0, 7), slice(0, 7)), (slice(1, height + 5), slice(1, width + 5))]
        spans.append((slice(height - 1, None), slice(width - 1, None)))
        rows = [
            torch.cat(
                [F.conv2d(padded[..., spans[r][0], spans[c][1]], kernels[r, c], bias) for c in range(3)],
                dim=3,
            )
            for r in range(3)
        ]
        return torch.cat(rows, dim=2)
