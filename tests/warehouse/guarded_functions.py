"""What the tests of `guarded.py` call: functions that misbehave as their argument says."""

import ctypes
import os
import signal
import time

import numpy as np
import numpy.typing as npt

from warehouse.places import RefusedError


class UnpicklableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def misbehave(data: bytes) -> bytes:
    """Answers with its argument, unless that is one of the words below."""
    match data:
        case b"sleep":
            time.sleep(60)
        case b"spin":
            while True:
                pass
        case b"crash":
            ctypes.string_at(0)
        case b"exit":
            os._exit(3)
        case b"killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"refuse":
            raise RefusedError("corrupt", "it is broken")
        case b"unpicklable":
            raise UnpicklableError("one", "two")
        case b"memory":
            return bytes(1 << 30)
        case b"print":
            os.write(1, b"to standard output\n")
            os.write(2, b"to standard error\n")
    return data


def sleep(data: bytes) -> bytes:
    """Says its process id in the file that the argument names, and sleeps."""
    with open(data, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    time.sleep(60)
    return data


def ones(data: bytes) -> list[npt.NDArray[np.uint8]]:
    """Arrays of the sizes that the argument lists."""
    return [np.ones(int(size), dtype=np.uint8) for size in data.split()]


def modules(data: bytes) -> list[str]:
    """What the child has imported of the packages that the argument lists."""
    import sys

    return sorted(set(data.decode().split()) & set(sys.modules))
