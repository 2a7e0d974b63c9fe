"""The one seam for parallel work: a function over shards.

A function given here is importable, reads its own inputs, writes its own shard and returns a small report. How many
processes there are, and where, belongs here; what they do belongs to the stages.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

Work = TypeVar("Work")
Report = TypeVar("Report")


@dataclass(frozen=True)
class Compute:
    """Local processes. `workers` None: one for each core this process may use."""

    workers: int | None = None

    def map(self, function: Callable[[Work], Report], shards: Sequence[Work]) -> Iterator[Report]:
        """Reports in the order of `shards`, each as soon as it and those before it are there.

        A single shard, or a single worker, is done in this process. An exception of the function is raised here.
        """
        workers = min(len(shards), self.workers or len(os.sched_getaffinity(0)))
        if workers <= 1:
            yield from map(function, shards)
            return
        # Forked children inherit the locks of polars' and torch's threads; a fork server starts from a clean process.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_the_run) as pool:
            yield from pool.map(function, shards)


def _end_with_the_run() -> None:
    """End this worker when the process that it works for dies, with what it started in threads of its own.

    The kernel's own signal would come with the end of the fork server, which is the parent here and may live on.
    """
    run = multiprocessing.parent_process()
    assert run is not None

    def watch() -> None:
        run.join()
        os._exit(1)

    threading.Thread(target=watch, name="end_with_the_run", daemon=True).start()
