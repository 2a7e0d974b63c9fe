"""How much the fused stem saves: forward and backward of the product's stem against the plain layers, in one run.

    python -m benchmarks.stem

Baseline `plain`: 30 kernels on each channel as a convolution, then the 3 x 3 convolution over 90 maps, as the paper
writes it. Same weights, same patches, interleaved, median of several. One JSON line last.
"""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.residuals import ResidualStem, srm_kernels

PATCHES = 64
ROUNDS = 7
CHANNELS = 16


class PlainStem(nn.Module):
    """The stem layer by layer: residual maps of each colour channel, then the learned convolution."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.register_buffer("kernels", srm_kernels().repeat(3, 1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Maps (P, C, 64, 64) of normalised images (P, 3, 64, 64)."""
        kernels = self.get_buffer("kernels")
        maps: Tensor = self.convolution(F.conv2d(images, kernels, padding=2, groups=3))
        return maps


def seconds(step: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    fused = ResidualStem(CHANNELS)
    plain = PlainStem(fused.conv)
    images = torch.randn(PATCHES, 3, 64, 64)

    def forward(stem: nn.Module) -> None:
        with torch.inference_mode():
            stem(images)

    def train(stem: nn.Module) -> None:
        stem(images).square().mean().backward()

    steps = {
        f"{name}_{kind}": partial(step, stem)
        for name, step in (("forward", forward), ("train", train))
        for kind, stem in (("plain", plain), ("fused", fused))
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(seconds(step))
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(f"{name:14}  {PATCHES / value:8.0f} patches/s")
    with torch.inference_mode():
        difference = (fused(images) - plain(images)).abs().max().item()
    result = {
        "baseline": "plain",
        "forward_ratio": round(median["forward_plain"] / median["forward_fused"], 2),
        "train_ratio": round(median["train_plain"] / median["train_fused"], 2),
        "max_abs_difference": difference,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
