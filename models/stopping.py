"""How a training process is asked to stop from outside.

Here belong the signals and the exit status. What stopping means is in `train`. Light to import: the signals are caught
before torch is, which takes seconds.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

STOPPED = 143
"""Exit status after SIGTERM, as the shell counts it: 128 + 15."""


def stop_when_signalled() -> Callable[[], bool]:
    """Have SIGTERM and SIGINT no longer end this process; whether one of them has come."""
    asked = threading.Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    # Ctrl-C on a terminal reaches this process as well as its parent.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, on_signal)
    return asked.is_set
