"""How much faster the network is than the paper's layers as one would write them, in one run.

    python -m benchmarks.backbone [--preset full] [--rounds 9]

Three processes hold the same weights and the same 64 patches (4 images of 16) and take turns: the product's network,
the reference with PyTorch's defaults, and the reference with the allocator set as the product sets it. A process each,
because an allocator is set for a whole process. Each turn is one forward pass without gradients and one training step
(forward, backward, AdamW); the medians are compared. Floating-point operations are counted as two for each
multiplication of the convolutions the product runs, and compared with a large matrix product on the same threads. One
JSON line last.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reference_backbone import ReferenceBackbone
from models.allocator import keep_freed_memory
from models.backbone import PATCH, PRESETS, BackboneConfig, random_backbone

IMAGES, PATCHES = 4, 16
THREADS = 2
CONTESTANTS = ("product", "reference", "reference_tuned")
MATRIX = 2048


def seconds(step: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def contestant(kind: str, preset: str, turns: Connection) -> None:
    """Answer `forward`, `train` and `memory` with a number, `features` with the features of the patches."""
    if kind != "reference":
        keep_freed_memory()
    torch.set_num_threads(THREADS)
    backbone = random_backbone(PRESETS[preset], seed=0)
    network: nn.Module = backbone if kind == "product" else ReferenceBackbone.of(backbone)
    patches = torch.rand(IMAGES, PATCHES, 3, PATCH, PATCH, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def features() -> Tensor:
        found: Tensor = backbone.image_features(patches) if kind == "product" else network(patches)[:, 0]
        return found

    def forward() -> Tensor:
        with torch.inference_mode():
            return features()

    def train() -> None:
        optimiser.zero_grad()
        torch.autograd.backward(features().square().mean())
        optimiser.step()

    before = forward().numpy()
    while (asked := turns.recv()) != "end":
        if asked == "features":
            turns.send(before)
        elif asked == "memory":
            turns.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        else:
            turns.send(seconds(forward if asked == "forward" else train))


def operations(config: BackboneConfig) -> int:
    """Floating-point operations of one patch's convolutions, forward, as the product runs them."""
    stem = PATCH**2 * config.channels * 3 * 7 * 7
    stages = sum(
        depth * (PATCH >> index) ** 2 * config.channels**2 * 9 for index, depth in enumerate(config.stage_depths)
    )
    return 2 * (stem + stages)


def peak() -> float:
    """Floating-point operations a second of a large matrix product, the best of several."""
    torch.set_num_threads(THREADS)
    left, right = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    return float(2 * MATRIX**3 / min(seconds(lambda: left @ right) for _ in range(8)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="the network against the paper's layers")
    parser.add_argument("--preset", choices=PRESETS, default="full")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    spawn = get_context("spawn")
    turns: dict[str, Connection] = {}
    processes = []
    for kind in CONTESTANTS:
        turns[kind], theirs = spawn.Pipe()
        processes.append(spawn.Process(target=contestant, args=(kind, asked.preset, theirs), daemon=True))
        processes[-1].start()

    def ask(kind: str, question: str) -> object:
        turns[kind].send(question)
        return turns[kind].recv()

    features = [np.asarray(ask(kind, "features")) for kind in CONTESTANTS]
    highest = peak()
    times: dict[tuple[str, str], list[float]] = {}
    # The first round only warms up: pages are touched for the first time.
    for turn in range(asked.rounds + 1):
        for kind in CONTESTANTS:
            for what in ("forward", "train"):
                took = ask(kind, what)
                if turn:
                    times.setdefault((kind, what), []).append(float(str(took)))
    count = IMAGES * PATCHES
    median = {key: statistics.median(values) for key, values in times.items()}
    for kind in CONTESTANTS:
        rates = "  ".join(f"{what} {count / median[kind, what]:7.0f} patches/s" for what in ("forward", "train"))
        print(f"{kind:16}  {rates}  at most {ask(kind, 'memory'):6.0f} MiB")
        turns[kind].send("end")
    for process in processes:
        process.join()

    def ratio(baseline: str, what: str) -> float:
        return round(median[baseline, what] / median["product", what], 2)

    result = {
        "baseline": "the paper's layers with PyTorch's defaults; tuned: with the product's allocator settings",
        "preset": asked.preset,
        "forward_ratio": ratio("reference", "forward"),
        "train_ratio": ratio("reference", "train"),
        "forward_ratio_tuned": ratio("reference_tuned", "forward"),
        "train_ratio_tuned": ratio("reference_tuned", "train"),
        "share_of_peak": round(operations(PRESETS[asked.preset]) * count / median["product", "forward"] / highest, 3),
        "share_of_peak_train": round(
            3 * operations(PRESETS[asked.preset]) * count / median["product", "train"] / highest, 3
        ),
        "max_abs_difference": float(np.abs(features[0] - features[1]).max()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
