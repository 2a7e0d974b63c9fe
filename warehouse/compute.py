"""The one seam for parallel work: a function over shards, by the workers of an engine.

A function given here is importable, reads its own inputs, writes its own shard and returns a small report. Which shard
is worked on when, and what becomes of one whose worker is lost, belongs here. Workers that are processes of this
machine are in `compute_local.py`, those of a Ray cluster in `compute_ray.py`; which of them it is, nothing else knows.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from warehouse.compute_local import LocalEngine
from warehouse.home import UserError
from warehouse.registry import ComputeSettings
from warehouse.workers import Crew, Done, Engine, Lost, Raised, Ready, attempt

Work = TypeVar("Work")
Report = TypeVar("Report")
Say = Callable[[str], None]

TRIES = 3
"""A shard is tried so often before it is given up, and so is starting a worker."""


@dataclass(frozen=True)
class Failed:
    """A shard that came to nothing in all its tries: a code of `reasons.py`, and what happened the last time.

    `error` is what was raised then; None where the worker was lost.
    """

    reason: str
    detail: str
    error: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Compute:
    """Workers of an engine, each with `cores_each` cores and `gpus_each` GPUs; `here`: this process alone instead.

    `say` is told of workers that are lost.
    """

    engine: Engine = field(default_factory=LocalEngine)
    cores_each: int = 1
    gpus_each: float = 0
    here: bool = False
    say: Say = field(default=lambda message: None, compare=False)

    @property
    def near(self) -> bool:
        """Whether all is done on this machine."""
        return self.engine.near

    def wide(self, at_most: int, shards: int) -> Self:
        """For a function that keeps several cores busy, up to `at_most` unless there are fewer shards than workers."""
        cores, widest = self.engine.cores, self.engine.widest
        workers = min(max(1, shards), -(-cores // min(at_most, widest)))
        return replace(self, cores_each=min(widest, -(-cores // workers)))

    def networks(self) -> Self:
        """For a function that puts pictures through networks; it decodes them on `cores_each` cores beside."""
        gpus = self.engine.gpus_each
        return replace(self, gpus_each=gpus, cores_each=self.engine.cores_beside_gpus if gpus else 1)

    def map(
        self, function: Callable[[Work], Report], shards: Sequence[Work], *, apart: bool = False
    ) -> Iterator[tuple[int, Report | Failed]]:
        """The number of each shard with the report of it, as soon as it is there.

        No more shards are under way than there are workers. A shard whose worker is lost, or of which the function
        raises, is tried again after all others, and after three tries has Failed. UserError is raised at once, and
        OSError after three tries: those are not the shard's. A single shard is done in this process where workers are
        near, unless it is to be done `apart`: it may take down whoever does it. When the iterator is closed or an
        exception passes through it, all workers end at once.
        """
        if self.here or not shards or (self.near and len(shards) == 1 and not apart):
            return _one_by_one(function, shards)
        return self._scheduled(function, shards)

    def _scheduled(
        self, function: Callable[[Work], Report], shards: Sequence[Work]
    ) -> Iterator[tuple[int, Report | Failed]]:
        with self.engine.crew(function, cores=self.cores_each, gpus=self.gpus_each) as crew:
            yield from _schedule(crew, shards, self.say)


def in_order(outcomes: Iterator[tuple[int, Report]]) -> Iterator[Report]:
    """What `map` gives by the number of its shard, without it; what comes before its turn waits."""
    waiting: dict[int, Report] = {}
    given = 0
    for number, outcome in outcomes:
        waiting[number] = outcome
        while given in waiting:
            yield waiting.pop(given)
            given += 1


def compute_of(settings: ComputeSettings, say: Say = lambda message: None) -> Compute:
    """The workers that `[compute]` of `sdaie.toml` asks for. Raises UserError where its cluster cannot be had."""
    if settings.engine == "local":
        return Compute(LocalEngine(settings.workers), say=say)
    from warehouse.compute_ray import ray_engine  # an extra, which takes a third of a second to load

    return Compute(ray_engine(settings.address, settings.workers, settings.gpus, say), say=say)


@dataclass
class _Try:
    """A shard by its number, and how often it was tried."""

    number: int
    shard: Any
    times: int = 0

    def failed(self, said: Raised | Lost) -> Failed | None:
        """Count a try that came to nothing; the failure where it was the last. Raises what is not the shard's."""
        self.times += 1
        error = said.error if isinstance(said, Raised) else None
        last = self.times == TRIES
        if error is not None and (isinstance(error, UserError) or (last and isinstance(error, OSError))):
            raise error
        if not last:
            return None
        if isinstance(said, Lost):
            return Failed("worker_lost", said.how)
        return Failed("failed", f"{type(said.error).__name__}: {said.error}", error)


def _one_by_one(function: Callable[[Any], Any], shards: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    for number, shard in enumerate(shards):
        trying, outcome = _Try(number, shard), None
        while outcome is None:
            said = attempt(function, shard)
            outcome = said if isinstance(said, Done) else trying.failed(said)
        yield number, outcome.report if isinstance(outcome, Done) else outcome


def _schedule(crew: Crew, shards: Sequence[Any], say: Say) -> Iterator[tuple[int, Any]]:
    fresh = (_Try(number, shard) for number, shard in enumerate(shards))
    again: deque[_Try] = deque()
    left, stillborn = len(shards), 0
    starting: set[Hashable] = set()
    idle: list[Hashable] = []
    busy: dict[Hashable, _Try] = {}
    while left:
        for _ in range(len(starting) + len(idle) + len(busy), min(left, crew.room())):
            starting.add(crew.start())
        # What failed is tried again after all else, when memory may be there that it lacked.
        while idle and (trying := next(fresh, None) or (again.popleft() if again else None)):
            worker = idle.pop()
            busy[worker] = trying
            crew.give(worker, trying.shard)
        for worker, event in crew.wait():
            if isinstance(event, Lost):
                say(f"a worker was lost: {event.how}")
            if worker in starting:
                starting.remove(worker)
                stillborn = stillborn + 1 if isinstance(event, Lost) else 0
                if isinstance(event, Raised):
                    raise event.error
                if isinstance(event, Ready):
                    idle.append(worker)
                elif stillborn == TRIES:
                    raise UserError("no worker can be started: each is lost before it begins")
                continue
            if worker in idle:
                idle.remove(worker)
                continue
            trying = busy.pop(worker)
            if not isinstance(event, Lost):
                idle.append(worker)
            assert not isinstance(event, Ready)
            outcome = event if isinstance(event, Done) else trying.failed(event)
            if outcome is None:
                again.append(trying)
            else:
                left -= 1
                yield trying.number, outcome.report if isinstance(outcome, Done) else outcome
