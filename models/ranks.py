"""Several processes that train one network, on one machine or on many: who they are, and what they tell each other.

Here belong the process group that torchrun describes in the environment, how its members reach each other, the device
of a rank, and the few exchanges training needs. One process alone is one rank and exchanges nothing. What is trained is
in `train`.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from models.stopping import LOST

PROCESSOR = torch.device("cpu")
LOST_AFTER = timedelta(minutes=10)
"""A rank that has not answered for so long is lost, and the others end too. One that has died is noticed at once."""

GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915
_Found = TypeVar("_Found")


class LostRankError(RuntimeError):
    """Another rank has died or does not answer; the message says what to do."""


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
        with _all_there():
            dist.all_gather(parts, outputs.detach().contiguous())
        parts[self.rank] = outputs
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its sum over the ranks, in one exchange."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _all_there():
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
        with _all_there():
            dist.all_reduce(wished, dist.ReduceOp.MAX)
        return bool(wished.item())

    def from_first(self, find: Callable[[], _Found]) -> _Found:
        """What the first rank finds, given to all; the others do not look."""
        if self.count == 1:
            return find()
        found = [find() if self.first else None]
        with _all_there():
            dist.broadcast_object_list(found, device=self.device)
        return found[0]  # type: ignore[return-value]  # the first rank's, not None


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that torchrun's environment names (WORLD_SIZE, RANK, LOCAL_RANK); without it, this process alone.

    A GPU is used where PyTorch sees one, the processor otherwise; ranks talk through NCCL or gloo. LostRankError where
    another does not come.
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
    if not cuda:
        _choose_interface(os.environ["MASTER_ADDR"])
    with _all_there():
        dist.init_process_group("nccl" if cuda else "gloo", timeout=LOST_AFTER)
    try:
        yield Ranks(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


@contextmanager
def _all_there() -> Iterator[None]:
    """LostRankError where an exchange fails: PyTorch has no error of its own for it."""
    try:
        yield
    except RuntimeError as error:
        # gloo says where in its code it was first, and advice in the end.
        reason = re.sub(r"^\[\S*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
        raise LostRankError(
            f"{LOST} ({reason}); run the same job again on all machines: it goes on from its checkpoint"
        ) from error


def _choose_interface(first: str) -> None:
    """Have gloo use the network interface by which the first rank is reached, unless a person has named one.

    By itself gloo takes the address of this machine's host name, which many systems write down as a loopback address.
    """
    if GLOO_INTERFACE not in os.environ:
        name = interface_towards(first)
        if name is not None:
            os.environ[GLOO_INTERFACE] = name


def interface_towards(host: str) -> str | None:
    """Name of the network interface whose address connections to `host` come from; None where that cannot be told."""
    if sys.platform != "linux":
        return None
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # nothing is sent
        except OSError:
            return None
        own = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue  # an interface without an address
            if socket.inet_ntoa(answer[20:24]) == own:
                return name
    return None
