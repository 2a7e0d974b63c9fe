"""What the engines of parallel work have in common: workers that each hold one function and are given shards.

What a worker says, and how it tries a shard, belongs here; who starts workers and where, to the engines
(`compute_local.py`, `compute_ray.py`), and which shard goes to which of them when, to `compute.py`.
"""

import pickle
import traceback
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Ready:
    """A worker has started and holds its function."""


@dataclass(frozen=True)
class Done:
    """A shard was worked on, with this report."""

    report: Any


@dataclass(frozen=True)
class Raised:
    """The function raised this of a shard; a note of the error says where."""

    error: Exception


@dataclass(frozen=True)
class Lost:
    """A worker ended by itself, and how: it is gone, and with it whatever it was doing."""

    how: str


Event = Ready | Done | Raised | Lost


class Crew(Protocol):
    """Workers that hold one function."""

    def room(self) -> int:
        """How many workers there may be now, those there are included; at least 1."""

    def start(self) -> Hashable:
        """A new worker, to be given shards once it is ready."""

    def give(self, worker: Hashable, shard: object) -> None:
        """Have a worker that is ready and idle work on a shard."""

    def wait(self) -> Sequence[tuple[Hashable, Event]]:
        """What workers have to say; some seconds may go by without a word. One that is lost is not waited for again."""


class Engine(Protocol):
    """Where workers run."""

    @property
    def near(self) -> bool:
        """Whether they are processes of this machine alone."""

    @property
    def cores(self) -> int:
        """Cores of all machines that workers may use."""

    @property
    def widest(self) -> int:
        """Cores that a single worker can have."""

    @property
    def gpus_each(self) -> float:
        """GPUs that a worker is to have in stages with networks; 0 where it takes what it sees."""

    @property
    def cores_beside_gpus(self) -> int:
        """Cores that such a worker has for what comes before the network."""

    def crew(self, function: Function, *, cores: int, gpus: float) -> AbstractContextManager[Crew]:
        """Workers for one function, each with so many cores and GPUs; on leaving all end, with whatever they do."""


def attempt(function: Function, shard: object) -> Done | Raised:
    """Try a function on a shard."""
    try:
        return Done(function(shard))
    except Exception as error:
        error.add_note(traceback.format_exc())
        return Raised(error)


def pickled(event: Event) -> bytes:
    """What a worker says, for another process; an error that would not arrive there is told in words."""
    if isinstance(event, Raised):
        try:
            pickle.loads(pickle.dumps(event))
        except Exception:
            error = RuntimeError(f"{type(event.error).__name__}: {event.error}")
            error.__notes__ = event.error.__notes__
            event = Raised(error)
    return pickle.dumps(event)
