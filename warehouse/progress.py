"""How long work says how far it is.

Counting and when to speak belong here; what is said where, to whoever passes the way to speak.
"""

import time
from collections.abc import Callable

_SECONDS = 5.0


def counter(what: str, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """What is told how many are done, and of how many, and says `what: done of all` every few seconds."""
    started = said = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SECONDS and done < total:
            said = now
            left = f", about {(now - started) / done * (total - done):.0f} s left" if done else ""
            say(f"{what}: {done} of {total}{left}")

    return count
