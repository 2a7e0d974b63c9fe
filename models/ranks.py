"""Several processes that train one network: who they are, and what they tell each other.

Here belong the process group that torchrun describes in the environment, the device of a rank, and the few exchanges
training needs. One process alone is one rank and exchanges nothing. What is trained is in `train`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

PROCESSOR = torch.device("cpu")
LOST_AFTER = timedelta(minutes=10)
"""A rank that has not answered for so long is lost, and the others end too."""


@dataclass(frozen=True)
class Ranks:
    """This process's rank among `count`, and the device it computes on."""

    rank: int = 0
    count: int = 1
    device: torch.device = PROCESSOR

    @property
    def first(self) -> bool:
        """Whether this is the rank that reports and writes."""
        return self.rank == 0

    def gather(self, outputs: Tensor) -> Tensor:
        """The rows (b, K) of all ranks, (count x b, K), in rank order; the gradient reaches the own rows alone."""
        if self.count == 1:
            return outputs
        parts = [torch.empty_like(outputs) for _ in range(self.count)]
        dist.all_gather(parts, outputs.detach().contiguous())
        parts[self.rank] = outputs
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its sum over the ranks, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def same(self, number: int) -> bool:
        """Whether all ranks hold the same number."""
        numbers = self.gather(torch.tensor([[float(number)]], dtype=torch.float64, device=self.device))
        return bool((numbers == number).all())

    def agree(self, wish: bool) -> bool:
        """Whether any rank wishes it: all ranks end at the same step or none does."""
        if self.count == 1:
            return wish
        wished = torch.tensor(float(wish), device=self.device)
        dist.all_reduce(wished, dist.ReduceOp.MAX)
        return bool(wished.item())


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that torchrun's environment names (WORLD_SIZE, RANK, LOCAL_RANK); without it, this process alone.

    A GPU is used where PyTorch sees one, the processor otherwise; ranks talk through NCCL or gloo.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else PROCESSOR
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if cuda:
        torch.cuda.set_device(device)
    if count == 1:
        yield Ranks(device=device)
        return
    dist.init_process_group("nccl" if cuda else "gloo", timeout=LOST_AFTER)
    try:
        yield Ranks(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()
