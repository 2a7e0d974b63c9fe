"""Workers on the machines of a Ray cluster (extra `ray`).

Connecting, and starting, feeding and ending actors belongs here; which shard is worked on when, to `compute.py`. Every
machine has sdaie installed, the same code, and sees the home and the corpora under the same paths.
"""

import hashlib
import pickle
import platform
import signal
import socket
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from warehouse.home import PROJECT, UserError
from warehouse.workers import Crew, Event, Function, Lost, Raised, Ready, attempt, pickled

_ROOMS = ("assets", "models", "warehouse")
_QUIET_SECONDS = 2.0
_NOTICE_SECONDS = 30.0
Say = Callable[[str], None]


def ray_engine(address: str, workers: int | None, gpus: float, say: Say) -> "RayEngine":
    """The cluster at an address, or for `auto` the one that runs on this machine; none is started.

    Raises UserError where it cannot be had, or does not have what is asked for.
    """
    ray = connected(address)
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(resources["CPU"]) for resources in machines if resources.get("CPU", 0) >= 1]
    if not cores:
        raise UserError("no machine of the Ray cluster offers a core: start one with `ray start --address=...`")
    all_gpus = sum(resources.get("GPU", 0) for resources in machines)
    if gpus > all_gpus:
        raise UserError(f"[compute] gpus = {gpus:g}: the Ray cluster offers {all_gpus:g}; 0 computes on processors")
    beside = max(1, min(*cores, int(sum(cores) * gpus / all_gpus))) if gpus else 1
    return RayEngine(workers, sum(cores), min(cores), gpus, beside, say)


@dataclass(frozen=True)
class RayEngine:
    """Actors of a cluster of so many cores. `workers` None: as many as its machines have room for."""

    workers: int | None
    all_cores: int
    widest: int
    gpus_each: float
    cores_beside_gpus: int
    say: Say
    near: bool = False

    @property
    def cores(self) -> int:
        """Those of all machines, or fewer where fewer workers were asked for."""
        return min(self.workers or self.all_cores, self.all_cores)

    @contextmanager
    def crew(self, function: Function, *, cores: int, gpus: float) -> Iterator[Crew]:
        """Actors for one function."""
        crew = _Actors(pickle.dumps(function), cores, gpus, self.workers, self.say)
        try:
            yield crew
        finally:
            crew.end()


class _Actors:
    """Actors, and what each was asked last: whether it has started, or what becomes of a shard."""

    def __init__(self, function: bytes, cores: int, gpus: float, workers: int | None, say: Say) -> None:
        import ray

        self._ray = ray
        self._cores, self._gpus, self._workers, self._say = cores, gpus, workers, say
        # Ray tries nothing again by itself: that is counted in one place, for every engine.
        options = {"num_cpus": cores, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0}
        self._actor = ray.remote(**options, scheduling_strategy="SPREAD")(_Worker)
        self._function = ray.put(function)
        self._room, self._room_at = 1, -_QUIET_SECONDS
        self._asked: dict[Any, Any] = {}
        self._actors: set[Any] = set()
        self._heard_at = time.monotonic()

    def room(self) -> int:
        """By the machines that are there, asked every other second: some may have come or gone."""
        now = time.monotonic()
        if now - self._room_at >= _QUIET_SECONDS:
            self._room, self._room_at = self._room_now(), now
        return self._room

    def _room_now(self) -> int:
        there = self._ray.cluster_resources()
        most = int(there.get("CPU", 0) // self._cores)
        if self._gpus:
            most = min(most, int(there.get("GPU", 0) // self._gpus))
        if self._workers:
            most = min(most, -(-self._workers // self._cores))
        return max(1, most)

    def start(self) -> Hashable:
        actor: Any = self._actor.remote(self._function)
        self._actors.add(actor)
        self._asked[actor.ready.remote(code_digest())] = actor
        started: Hashable = actor
        return started

    def give(self, worker: Hashable, shard: object) -> None:
        assert worker in self._actors
        actor: Any = worker
        self._asked[actor.work.remote(pickle.dumps(shard))] = actor

    def wait(self) -> Sequence[tuple[Hashable, Event]]:
        asked = list(self._asked)
        heard, _ = self._ray.wait(asked, num_returns=1, timeout=_QUIET_SECONDS)
        if heard and len(asked) > 1:
            heard, _ = self._ray.wait(asked, num_returns=len(asked), timeout=0)
        self._notice(bool(heard))
        return [(self._asked[reference], self._answer(reference)) for reference in heard]

    def end(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)

    def _notice(self, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self._heard_at = now
        elif now - self._heard_at > _NOTICE_SECONDS:
            self._heard_at = now
            free = {name: f"{amount:g}" for name, amount in self._ray.available_resources().items() if len(name) == 3}
            needed = f"{self._cores} CPU" + (f" and {self._gpus:g} GPU" if self._gpus else "")
            has = " and ".join(f"{amount} {name}" for name, amount in sorted(free.items())) or "nothing"
            self._say(f"waits for Ray: a worker needs {needed}, the cluster has {has} free")

    def _answer(self, reference: Any) -> Event:
        actor = self._asked.pop(reference)
        try:
            event: Event = pickle.loads(self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            self._actors.remove(actor)
            self._ray.kill(actor)
            return Lost(" ".join(str(error).split())[:300])
        return event


class _Worker:
    """An actor: holds one function, and is given shards."""

    def __init__(self, function: bytes) -> None:
        self._function: Function = pickle.loads(function)

    def ready(self, code: str) -> bytes:
        """Whether this machine runs the same code as the run."""
        other = machine_of_other_code(code)
        if other is None:
            return pickled(Ready())
        return pickled(Raised(UserError(f"{other} has another sdaie in {PROJECT}: install the same on each")))

    def work(self, shard: bytes) -> bytes:
        """What becomes of a shard; what a user has to mend is said with the machine's name."""
        said = attempt(self._function, pickle.loads(shard))
        if isinstance(said, Raised) and isinstance(said.error, UserError):
            said = Raised(UserError(f"{platform.node()}: {said.error}"))
        return pickled(said)


@cache
def code_digest() -> str:
    """The identity of the code that workers run."""
    found = hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (PROJECT / room).rglob("*.py")):
        found.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def machine_of_other_code(code: str) -> str | None:
    """The name of this machine, where it has other code than that of a digest."""
    return None if code_digest() == code else platform.node()


@cache
def connected(address: str) -> Any:
    """The module `ray`, connected. Raises UserError where it is not installed, or no cluster answers."""
    try:
        import ray
    except ImportError:
        raise UserError('[compute] engine = "ray" needs the extra: pip install "sdaie[ray]"') from None
    _reached(address)
    # Ray takes these for itself, though it is Dagster, or the command, that knows how a run is to end.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of a default that is to change
            ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_answer(address, error) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return ray


def _reached(address: str) -> None:
    """UserError where nothing listens at host:port, which Ray itself tries for longer than six minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, error: Exception) -> UserError:
    start = "`ray start --head` here, or `ray start --address=HOST:6379` to join one"
    return UserError(f"no Ray cluster answers at {address!r} ({error}): {start}")
