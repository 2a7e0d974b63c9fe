"""How a training process is asked to stop from outside, and ends with the process that started it.

Here belong the signals, the exit status and the error. What stopping means is in `train`. Light to import: the signals
are caught before torch is, which takes seconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

STOPPED = 143
"""Exit status after SIGTERM, as the shell counts it: 128 + 15."""

LOST = "another rank was lost"
"""How the last words of a rank begin that ends because another one has."""

PARENT_VARIABLE = "SDAIE_PARENT_PID"
"""Set by whoever starts a training process that is to end with it: its own process id."""
_PR_SET_PDEATHSIG = 1


class TrainingStoppedError(RuntimeError):
    """Training was asked to stop; its checkpoint is kept, and the same job goes on from it."""


def stop_when_signalled() -> Callable[[], bool]:
    """Have SIGTERM and SIGINT no longer end this process; whether one of them has come."""
    asked = threading.Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    # Ctrl-C on a terminal reaches this process as well as its parent.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, on_signal)
    return asked.is_set


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent dies, so that a killed one leaves no orphan (Linux only).

    `parent` is its process id, as itself said: it may be dead before this process has come as far as asking for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the request took effect.
        if os.getppid() != parent:
            raise SystemExit(STOPPED)
