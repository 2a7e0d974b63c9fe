"""The child's side of `guarded.py`: take bytes, call the function, send back what it returned or raised, until the end.

What runs in the child belongs here, and as little as possible is imported: the child starts for every shard of work.
Starting it, waiting for it and ending it belong to `guarded.py`.
"""

import fcntl
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

ANSWER = struct.Struct("<QI")
"""Bytes of the pickled answer and how many buffers go with it. The length of each follows, then the pickle.

The buffers lie one behind another, `aligned`, in memory whose descriptor comes with this head.
"""
LENGTH = struct.Struct("<Q")
"""Bytes of the argument of a call, which follows; bytes of a buffer."""


def aligned(length: int) -> int:
    """What a buffer takes in shared memory."""
    return -(-length // 64) * 64


class Job(NamedTuple):
    """What a child is for. `seconds` and `memory_bytes` are as in `guarded.Limits`."""

    function: Callable[[bytes], object]
    seconds: float
    memory_bytes: int


class Answer(NamedTuple):
    """What a call came to: a value or an exception; without either, the memory was not enough."""

    value: object = None
    error: Exception | None = None
    out_of_memory: bool = False


def serve(calls: int, lifeline: int) -> None:
    """Answer calls that come through a socket until it is closed; `lifeline` is a pipe that the owner holds open."""
    _end_with_owner(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the owner decides what it means
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with socket.socket(fileno=calls) as channel, channel.makefile("rb") as requests:
        try:
            job: Job = pickle.load(requests)
        except Exception as error:  # importing the function's module may raise anything
            _send(channel, Answer(error=_portable(error)))
            return
        _limit(job)
        _send(channel, Answer())
        while head := requests.read(LENGTH.size):
            data = requests.read(LENGTH.unpack(head)[0])
            # Should the owner not kill it at the deadline, the system does.
            signal.setitimer(signal.ITIMER_REAL, job.seconds + 1)
            answer = _call(job.function, data)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(channel, answer)
            if answer.out_of_memory:
                return
            del data, answer  # nothing is held while the owner works with what it got


def _limit(job: Job) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
    if sys.platform == "linux":  # elsewhere the limit is not enforced
        resource.setrlimit(resource.RLIMIT_DATA, (job.memory_bytes, job.memory_bytes))


def _end_with_owner(lifeline: int) -> None:
    """The system ends this process when the other end of a pipe is closed, through which nothing ever comes.

    By a signal whose default is to end the process, whatever it is busy with: a thread that waits would need the
    interpreter's lock, which a decoder may hold. The socket would not do: it signals what arrives as well.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _call(function: Callable[[bytes], object], data: bytes) -> Answer:
    try:
        return Answer(function(data))
    except MemoryError:
        return Answer(out_of_memory=True)
    except Exception as error:
        return Answer(error=_portable(error))


def _portable(error: Exception) -> Exception:
    """The exception if it can be pickled, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _send(channel: socket.socket, answer: Answer) -> None:
    buffers: list[pickle.PickleBuffer] = []
    try:
        body = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    except MemoryError:
        body = pickle.dumps(Answer(out_of_memory=True))
        buffers.clear()
    parts = [buffer.raw() for buffer in buffers]
    head = ANSWER.pack(len(body), len(parts)) + b"".join(LENGTH.pack(len(part)) for part in parts)
    if parts:
        with _shared_memory() as memory:
            for part in parts:
                memory.write(part)
                memory.write(bytes(aligned(len(part)) - len(part)))
            memory.flush()
            socket.send_fds(channel, [head], [memory.fileno()])
            channel.sendall(body)
    else:
        channel.sendall(head + body)


def _shared_memory() -> BinaryIO:
    """An open file without a name; on Linux it is memory."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("answer"), "wb")
    return cast(BinaryIO, tempfile.TemporaryFile())
