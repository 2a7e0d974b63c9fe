"""Calling a function on bytes of unknown origin in a child process, so that they cannot harm this one.

Starting the child, its deadline and its memory belong here, and nothing about what the function does; the child's side
is `guarded_child.py`. The child is killed when a call takes too long, may not have more memory than it is allowed, may
crash, writes no files, and ends when its owner does; the next call starts another. This guards against damage, not
against a file that takes over the decoder: the child runs as the same user.
"""

import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, Self, TypeVar, cast

from warehouse.guarded_child import ANSWER, LENGTH, Answer, Job, aligned
from warehouse.home import PROJECT
from warehouse.places import RefusedError

Result = TypeVar("Result")

_START_SECONDS = 60.0
# The threads of a numerical library would each take memory, and the child has one thing to do.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# Without the site module, which costs a third of the start; the modules are found where this process finds them.
_MAIN = (
    "import sys; sys.path[:] = sys.argv[3:]; from warehouse.guarded_child import serve; serve(*map(int, sys.argv[1:3]))"
)


@dataclass(frozen=True)
class Limits:
    """What one call may cost: seconds until its answer, and bytes of memory that the child may have, data included.

    The memory is limited on Linux alone; the deadline everywhere.
    """

    seconds: float
    memory_bytes: int


class Guarded(Generic[Result]):
    """A function in a child process; a context manager to be called with bytes, by one thread.

    The function is importable, and what it returns and raises can be pickled: an exception comes out of the call as
    itself. Where the child does not answer, the call raises RefusedError with `too_slow`, `too_much_memory` or
    `crashed`.
    """

    def __init__(self, function: Callable[[bytes], Result], limits: Limits) -> None:
        self._job = Job(function, limits.seconds, limits.memory_bytes)
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        self._child = _Child(self._job)  # starts while the caller reads its first file
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def __call__(self, data: bytes) -> Result:
        """What the function makes of the bytes."""
        child = self._child = self._child or _Child(self._job)
        try:
            child.wait_until_ready()
            answer = child.ask(data)
        except BaseException:  # what is still to come of the answer would be taken for the next one
            self._end()
            raise
        if answer.out_of_memory:
            self._end()
            raise RefusedError("too_much_memory", f"it needs more than {self._job.memory_bytes >> 20} MB of memory")
        if answer.error is not None:
            raise answer.error
        return cast(Result, answer.value)

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


class _Child:
    """A child process and the socket to it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ready = False
        self._channel, theirs = socket.socketpair()
        held, self._lifeline = os.pipe()
        path = dict.fromkeys([str(PROJECT), *map(os.path.abspath, sys.path)])
        descriptors = theirs.fileno(), held
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _MAIN, *map(str, descriptors), *path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders write there what they please
                pass_fds=descriptors,
                env=os.environ | _ONE_THREAD,
            )
        finally:
            theirs.close()
            os.close(held)
        self._channel.sendall(pickle.dumps(job))

    def wait_until_ready(self) -> None:
        """Wait for a child that has just been started. Raises what importing the function raised."""
        if not self._ready:
            try:
                answer = self._receive(time.monotonic() + _START_SECONDS)
            except OSError as error:
                raise RuntimeError(f"the guarded process does not start: {self._ending()}") from error
            if answer.error is not None:
                raise answer.error
            self._ready = True

    def ask(self, data: bytes) -> Answer:
        """The answer of one call. Raises RefusedError where there is none."""
        deadline = time.monotonic() + self._job.seconds
        try:
            self._channel.settimeout(self._job.seconds)
            # Both at once: the child would wake twice.
            sent = self._channel.sendmsg([LENGTH.pack(len(data)), data])
            if rest := memoryview(data)[sent - LENGTH.size :]:
                self._channel.sendall(rest)
            return self._receive(deadline)
        except OSError as error:
            if isinstance(error, TimeoutError) or self._signal() == signal.SIGALRM:
                raise RefusedError("too_slow", f"no answer within {self._job.seconds:g} s") from None
            raise RefusedError("crashed", f"the decoder crashed: {self._ending()}") from None

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        os.close(self._lifeline)

    def _receive(self, deadline: float) -> Answer:
        self._wait_at_most(deadline)
        head, descriptors, *_ = socket.recv_fds(self._channel, ANSWER.size, 1)
        try:
            size, count = ANSWER.unpack(head + self._read(ANSWER.size - len(head), deadline))
            lengths = [LENGTH.unpack(self._read(LENGTH.size, deadline))[0] for _ in range(count)]
            body = self._read(size, deadline)
            buffers = _mapped(descriptors[0], lengths) if lengths else []
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        answer: Answer = pickle.loads(body, buffers=buffers)
        return answer

    def _read(self, length: int, deadline: float) -> bytes:
        into = bytearray()
        while len(into) < length:
            self._wait_at_most(deadline)
            read = self._channel.recv(length - len(into))
            if not read:
                raise ConnectionResetError("it ended")
            into += read
        return bytes(into)

    def _wait_at_most(self, deadline: float) -> None:
        self._channel.settimeout(max(deadline - time.monotonic(), 1e-3))

    def _signal(self) -> int | None:
        """The signal that ended the process; None where it was none, or where it has not ended."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return None
        return -code if code < 0 else None

    def _ending(self) -> str:
        number = self._signal()
        return f"its process was ended by {signal.Signals(number).name}" if number else "its process ended"


def _mapped(descriptor: int, lengths: Sequence[int]) -> list[memoryview]:
    """Buffers in shared memory, as they are: nothing is copied."""
    total = sum(map(aligned, lengths))
    if not total:
        return [memoryview(b"")] * len(lengths)
    memory = memoryview(mmap.mmap(descriptor, total))
    starts = accumulate(map(aligned, lengths), initial=0)
    return [memory[start : start + length] for start, length in zip(starts, lengths, strict=False)]
