"""Workers that are processes of this machine.

Starting, feeding and ending them belongs here; which shard is worked on when, to `compute.py`.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from warehouse.sockets import fork_server
from warehouse.workers import Crew, Event, Function, Lost, Ready, attempt, pickled


@dataclass(frozen=True)
class LocalEngine:
    """Processes side by side. `workers` None: one for each core this process may use."""

    workers: int | None = None
    near: bool = True
    gpus_each: float = 0
    cores_beside_gpus: int = 1

    @property
    def cores(self) -> int:
        """As many as workers were asked for."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def widest(self) -> int:
        """All of them."""
        return self.cores

    @contextmanager
    def crew(self, function: Function, *, cores: int, gpus: float) -> Iterator[Crew]:
        """Processes for one function; GPUs are those that each sees."""
        crew = _Processes(pickle.dumps(function), max(1, -(-self.cores // cores)))
        try:
            yield crew
        finally:
            crew.end()


class _Processes:
    """Worker processes by the connection to each."""

    def __init__(self, function: bytes, most: int) -> None:
        self._function = function
        self._most = most
        self._context = fork_server()
        self._processes: dict[Connection, ForkServerProcess] = {}

    def room(self) -> int:
        return self._most

    def start(self) -> Hashable:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._function), name="sdaie worker")
        process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        self._processes[ours] = process
        return ours

    def give(self, worker: Hashable, shard: object) -> None:
        assert isinstance(worker, Connection)
        try:
            worker.send(shard)
        except OSError:
            return  # it has just ended, which is what waiting for it will tell

    def wait(self) -> Sequence[tuple[Hashable, Event]]:
        ready = wait(list(self._processes))
        return [(worker, self._heard(worker)) for worker in ready if isinstance(worker, Connection)]

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for worker in list(self._processes):
            self._ended(worker)

    def _heard(self, worker: Connection) -> Event:
        try:
            event: Event = pickle.loads(worker.recv_bytes())
        except (EOFError, OSError):
            return Lost(self._ended(worker))
        return event

    def _ended(self, worker: Connection) -> str:
        process = self._processes.pop(worker)
        worker.close()
        process.join()
        code = process.exitcode or 0
        process.close()
        return f"its process was ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended ({code})"


def _serve(channel: Connection, function: bytes) -> None:
    """A worker's life: shards come through the channel, and what became of them goes back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, for the run, which ends its workers itself
    _end_with_the_run()
    work: Function = pickle.loads(function)
    channel.send_bytes(pickled(Ready()))
    while True:
        try:
            shard = channel.recv()
        except (EOFError, OSError):
            return
        channel.send_bytes(pickled(attempt(work, shard)))


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
