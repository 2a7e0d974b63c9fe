"""How many threads compute: with one, results do not depend on the machine, and processes share its cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch computes on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch, BLAS and OpenMP keep to one thread; sums then run in one order, whatever the machine."""
    with torch_threads(1), threadpool_limits(limits=1):
        yield
