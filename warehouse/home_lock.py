"""Who may write the tables of a home: one that brings it up to date alone, or the steps of one run side by side.

Holding and waiting belong here. The lock is of the operating system, so that it ends with its holder, killed or not.
On a shared file system it reaches other machines where that passes it on, so it saves work done twice and no more:
tables are safe without it (`commits.py`). Where the file system has no locks, it counts as held.
"""

import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from warehouse.home import Home, UserError, as_user_error

Say = Callable[[str], None]
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def held_alone(home: Home, wait: Say | None = None) -> Iterator[None]:
    """Nobody else writes meanwhile.

    Raises UserError where somebody does (with `wait`, says that and waits), and where the home cannot be written.
    """
    with _held(home, fcntl.LOCK_EX, wait):
        yield


@contextmanager
def held_together(home: Home, wait: Say) -> Iterator[None]:
    """Others that hold it together may write too, nobody alone; waits for such a one, and says so."""
    with _held(home, fcntl.LOCK_SH, wait):
        yield


@contextmanager
def _held(home: Home, how: int, wait: Say | None) -> Iterator[None]:
    with lock_file(home.path / ".lock") as lock:
        if not _taken(lock, how):
            at_work = f"another `sdaie run`, or a run of the UI, is at work in {home.path}"
            if wait is None:
                raise UserError(f"{at_work}: wait for it, or stop it") from None
            wait(f"{at_work}: waits for it")
            take(lock, how)
        yield


@contextmanager
def lock_file(path: Path) -> Iterator[IO[str]]:
    """The open file that a lock is held on, made where it is not there. Raises UserError where it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise as_user_error(error, path) from None
    with lock:
        yield lock


def take(lock: IO[str], how: int) -> bool:
    """Take a lock, in a way as of `flock`; False where somebody has it and is not to be waited for."""
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _taken(lock: IO[str], how: int) -> bool:
    """Whether the lock was had within a second: the daemon holds it for moments, to see whether anybody is at work."""
    for _ in range(10):
        if take(lock, how | fcntl.LOCK_NB):
            return True
        time.sleep(0.1)
    return False
