"""What a piece of work costs, in a process of its own: seconds, core-seconds and the most memory.

How work is measured belongs here; which work, to the benchmarks that ask for it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.services import descendants, memory

_SAMPLE_SECONDS = 0.1
_PART = 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, seconds of all cores together, and the most MB of all processes together (PSS).

    `base_mb` is what the process held before the work began: interpreter and imports.
    """

    seconds: float
    core_seconds: float
    peak_mb: float
    base_mb: float

    def as_json(self) -> dict[str, float]:
        """Rounded to what a repetition would give again."""
        return {name: round(value, 3 if "seconds" in name else 0) for name, value in asdict(self).items()}


def measured(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Cost]:
    """What an importable function gives, and what it cost in a new process; its own processes count as well.

    Memory is sampled ten times a second, of large processes less often. Raises RuntimeError where the process fails.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        ours.recv()
        base = peak = memory([process.pid])
        ours.send(None)
        pause = _SAMPLE_SECONDS
        while not ours.poll(pause):
            began = time.perf_counter()
            peak = max(peak, memory(descendants(process.pid)))
            # The kernel goes through all pages of a process: it is to have a small part of the time for that.
            pause = max(_SAMPLE_SECONDS, _PART * (time.perf_counter() - began))
        value, seconds, core_seconds = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{function.__qualname__} ended with {process.exitcode}") from None
    process.join()
    return value, Cost(seconds, core_seconds, peak, base)


def over_sizes(description: str, counts: Sequence[int], measure: Callable[[int, Path | None], dict[str, Any]]) -> None:
    """A benchmark's program: measure at the numbers that are asked for, and print them as one JSON object."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("counts", type=int, nargs="*", default=counts)
    parser.add_argument("--scratch", type=Path, help="where files and homes are made, and removed again")
    asked = parser.parse_args()
    points = [measure(count, asked.scratch) for count in asked.counts]
    print(json.dumps({"cores": len(os.sched_getaffinity(0)), "points": points}))


def _run(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send(None)
    pipe.recv()
    before, started = _core_seconds(), time.perf_counter()
    value = function(*arguments)
    seconds = time.perf_counter() - started
    pipe.send((value, seconds, _core_seconds() - before))


def _core_seconds() -> float:
    """Of this process and all below it, and of those of them that have ended."""
    ticks = 0
    for each in descendants(os.getpid()):
        # After the name, which may hold spaces: own user and system time, then that of children that were waited for.
        fields = Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS
