"""One exiftool process: commands in, what it prints of each out, and an end to it where it does not answer.

Starting, feeding, limiting and killing exiftool belongs here. What it is asked to open is in `exiftool_files.py`; which
file was at fault, and what an answer says, in `exiftool.py`.

pyexiftool starts and stops the process. The exchange is our own, because pyexiftool's blocks when stderr fills, spins
when the child dies and waits for ever. Each file is a command of its own with a random number that exiftool repeats
behind the answer, so an answer belongs to its file whatever names or tags say. A few commands are always ahead of the
answers, so exiftool never waits for us; together they cost no more than one command for all files.
"""

import os
import re
import resource
import secrets
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import exiftool

from warehouse.home import UserError

# Older versions run a file name that ends in "|" as a command (CVE-2022-23935).
MINIMUM_VERSION = (12, 38)
# -fast skips what follows the picture in a JPEG; -fast2 would lose EXIF at the end of HEIC files and PNG text. -e
# leaves out the composite tags: exiftool derives them from the others, and that takes as long as reading the file.
ARGUMENTS = ("-json", "-n", "-G1", "-fast", "-e")
AHEAD = 8
"""Commands that exiftool has been sent and has not answered yet, at most."""
_INSTALL = "install it with `apt-get install libimage-exiftool-perl` or `brew install exiftool` (https://exiftool.org)"
_CHUNK_BYTES = 1 << 16


class ExifToolFailedError(RuntimeError):
    """exiftool died, hung, or printed too much at the first command not answered; the message says which."""


@dataclass(frozen=True)
class ExifLimits:
    """What one file may cost: seconds until its answer, bytes of address space, bytes of printed answer.

    Of the memory that exiftool takes for 45 awkward originals (HEIC, TIFF, JPEG XL) the most is 60 MiB.
    """

    answer_s: float = 30.0
    memory_bytes: int = 384 << 20
    answer_bytes: int = 4 << 20


def supported(version: str) -> bool:
    """Whether this version of exiftool, as `-ver` prints it, may read files of unknown origin."""
    found = re.fullmatch(r"(\d+)\.(\d+).*", version)
    return found is not None and (int(found[1]), int(found[2])) >= MINIMUM_VERSION


def start(limits: ExifLimits) -> "ExifProcess":
    """A running exiftool. Raises UserError where there is none, where it does not start, or where it is too old.

    It belongs to the thread that calls this: on Linux it ends when that thread does, also when that is killed.
    """
    try:
        process = ExifProcess(limits)
        process.run()
    except FileNotFoundError:
        raise UserError(f"exiftool is not installed: {_INSTALL}") from None
    except (OSError, RuntimeError, ValueError, exiftool.exceptions.ExifToolException) as error:
        raise UserError(f"exiftool does not start ({error}): {_INSTALL}") from None
    if not supported(process.version):
        process.kill()
        wanted = ".".join(map(str, MINIMUM_VERSION))
        raise UserError(f"exiftool {process.version} is older than {wanted}: {_INSTALL}")
    return process


class ExifProcess(exiftool.ExifTool):  # type: ignore[misc]  # pyexiftool publishes no types
    """pyexiftool's process with our exchange: end-of-file, deadline and caps end it instead of hanging."""

    def __init__(self, limits: ExifLimits) -> None:
        super().__init__(common_args=list(ARGUMENTS), encoding="utf-8", config_file="")
        self._limits = limits

    def execute(self, *params: str) -> str:
        """One command, for pyexiftool's own use (`-ver` at the start)."""
        if sys.platform == "linux":  # elsewhere nothing can limit a process from outside
            _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_AS)
            soft = min(self._limits.memory_bytes, sys.maxsize if hard == resource.RLIM_INFINITY else hard)
            resource.prlimit(self._process.pid, resource.RLIMIT_AS, (soft, hard))
        try:
            [(out, _)] = self.answers(["\n".join(params)])
        except ExifToolFailedError:
            self.kill()
            raise
        return out.decode("utf-8", "replace")

    def answers(self, commands: Iterable[str | None]) -> Iterator[tuple[bytes, bytes]]:
        """Standard output and error of each command, in order, as they come.

        `commands` is asked for more whenever fewer than AHEAD are not answered; None from it means that there is none
        before the next answer is taken. Raises ExifToolFailedError; then the process is good for `kill` alone.
        """
        source, exhausted = iter(commands), False
        with _Exchange(self._process, self._limits) as exchange:
            while True:
                while not exhausted and len(exchange.asked) < AHEAD:
                    command = next(source, "")
                    if not command:
                        exhausted = command is not None
                        break
                    exchange.send(command)
                if not exchange.asked:
                    return
                while (answer := exchange.answer()) is None:
                    exchange.transfer()
                yield answer

    def kill(self) -> None:
        """End the process at once; it holds nothing worth closing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._flag_running_false()


class _Exchange:
    """The pipes of a process while commands are sent and answers come; a context manager."""

    def __init__(self, process: "subprocess.Popen[bytes]", limits: ExifLimits) -> None:
        pipes = [pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe]
        self.asked: deque[bytes] = deque()
        self._limits = limits
        self._seed, self._count = 10**14 + secrets.randbelow(9 * 10**14), 0
        self._sink, self._out, self._err = (p.fileno() for p in pipes)
        os.set_blocking(self._sink, False)
        self._request = bytearray()
        self._read = {self._out: bytearray(), self._err: bytearray()}
        self._deadline = 0.0
        self._selector = selectors.DefaultSelector()
        for pipe in self._read:
            self._selector.register(pipe, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._selector.close()

    def send(self, command: str) -> None:
        """Ask; the answer is due so many seconds after this or after the answer before it, whichever is later."""
        number = b"%d%d" % (self._seed, self._count)
        self._count += 1
        self.asked.append(number)
        self._request += b"\n".join([os.fsencode(command), b"-echo4", b"{end%b}" % number, b"-execute%b\n" % number])
        if self._sink not in self._selector.get_map():
            self._selector.register(self._sink, selectors.EVENT_WRITE)
        self._deadline = time.monotonic() + self._limits.answer_s

    def answer(self) -> tuple[bytes, bytes] | None:
        """What was printed for the command asked first, once it is there whole."""
        number = self.asked[0]
        out, err = self._read[self._out], self._read[self._err]
        ready, end = b"{ready%b}\n" % number, b"{end%b}\n" % number
        places = out.find(ready), err.find(end)
        if min(places) < 0:
            if max(len(out), len(err)) > self._limits.answer_bytes:
                raise self._too_much()
            return None
        if max(places) > self._limits.answer_bytes:  # it came whole, in one go
            raise self._too_much()
        answer = bytes(out[: places[0]]), bytes(err[: places[1]])
        del out[: places[0] + len(ready)], err[: places[1] + len(end)]
        self.asked.popleft()
        self._deadline = time.monotonic() + self._limits.answer_s
        return answer

    def transfer(self) -> None:
        """Write and read what can be, waiting for it where nothing can."""
        if not self._read.keys() & self._selector.get_map().keys():
            cause = ": it ran out of memory" if b"Out of memory" in self._read[self._err] else ""
            raise ExifToolFailedError(f"exiftool ended while reading this file{cause}")
        ready = self._selector.select(max(0.0, self._deadline - time.monotonic()))
        if not ready:
            raise ExifToolFailedError(f"exiftool gave no answer within {self._limits.answer_s:g} s")
        for key, _ in ready:
            try:
                if key.fd == self._sink:
                    del self._request[: os.write(self._sink, self._request[:_CHUNK_BYTES])]
                    done = not self._request
                else:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    self._read[key.fd] += chunk
                    done = not chunk
            except BrokenPipeError:  # then its output ends too, after what it still answered
                done = True
            if done:
                self._selector.unregister(key.fd)

    def _too_much(self) -> ExifToolFailedError:
        return ExifToolFailedError(f"exiftool printed more than {self._limits.answer_bytes} bytes")
