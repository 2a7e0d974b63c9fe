"""The guarded exiftool process: many files in, their tags out, whatever the files hold.

Starting, feeding, limiting, killing and restarting exiftool belongs here, and nothing about what tags mean; which of
them are kept is decided in `exif_rules.py`.

pyexiftool starts and stops the process. The exchange is our own, because pyexiftool's blocks when stderr fills, spins
when the child dies and waits for ever. Each file is a command of its own with a random number that exiftool repeats
behind the answer, so an answer belongs to its file whatever names or tags say; sending all commands at once
costs no more than one command for all files (measured: 400 files in 1.9 s, 2.1 s as one command).
"""

import json
import os
import re
import resource
import secrets
import selectors
import stat
import sys
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import exiftool

from warehouse.exif_rules import ingested
from warehouse.exif_values import as_printed

# Older versions run a file name that ends in "|" as a command (CVE-2022-23935).
MINIMUM_VERSION = (12, 38)
# -fast skips what follows the picture in a JPEG; -fast2 would lose EXIF at the end of HEIC files and PNG text. -e
# leaves out the composite tags: exiftool derives them from the others, and that takes as long as reading the file.
ARGUMENTS = ("-json", "-n", "-G1", "-fast", "-e")
_INSTALL = "install it with `apt-get install libimage-exiftool-perl` or `brew install exiftool` (https://exiftool.org)"
_CHUNK_BYTES = 1 << 16


class ExifToolUnavailableError(RuntimeError):
    """There is no exiftool, it does not start, or it is too old; the message is one line and says what to install."""


@dataclass(frozen=True)
class ExifLimits:
    """What one file may cost: seconds until its answer, bytes of address space, bytes of printed answer."""

    answer_s: float = 30.0
    memory_bytes: int = 2 << 30
    answer_bytes: int = 16 << 20


@dataclass(frozen=True)
class ExifRecord:
    """What exiftool says of one file: its tags by `group:name`, or None and the error that says why there are none."""

    tags: dict[str, object] | None
    warnings: tuple[str, ...] = ()
    error: str | None = None


class ExifReader:
    """A running exiftool; a context manager that raises ExifToolUnavailableError on entry.

    It belongs to the thread that enters it: on Linux exiftool ends when that thread does.
    """

    def __init__(self, limits: ExifLimits | None = None) -> None:
        self._limits = limits or ExifLimits()
        self._process: _Process | None = None
        self.version = ""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def read(self, paths: Sequence[Path]) -> list[ExifRecord]:
        """One record for each path, in order; a file that cannot be read is a record with an error.

        When exiftool fails in the middle, it is started anew and the file in question is asked alone: if it fails
        again, that file has the error. All others are answered as if it were not there.
        """
        records: dict[int, ExifRecord] = {}
        asked: list[int] = []
        for place, path in enumerate(paths):
            if (refusal := _refusal(path)) is not None:
                records[place] = ExifRecord(None, error=refusal)
            else:
                asked.append(place)
        suspect = False
        while asked:
            process = self._process or self._start()
            turn = asked[:1] if suspect else asked
            answers, failure = process.ask([[os.fsencode(paths[place].absolute())] for place in turn])
            for place, (out, err) in zip(turn, answers, strict=False):
                records[place] = _record(out, err, paths[place].absolute())
            asked = asked[len(answers) :]
            if failure is not None:
                process.kill()
                self._process = None
                if suspect:
                    records[asked.pop(0)] = ExifRecord(None, error=failure)
            suspect = failure is not None and not suspect
        return [records[place] for place in range(len(paths))]

    def _start(self) -> "_Process":
        try:
            process = _Process(self._limits)
            process.run()
        except FileNotFoundError:
            raise ExifToolUnavailableError(f"exiftool is not installed: {_INSTALL}") from None
        except (OSError, RuntimeError, ValueError, exiftool.exceptions.ExifToolException) as error:
            raise ExifToolUnavailableError(f"exiftool does not start ({error}): {_INSTALL}") from None
        self.version = str(process.version)
        if not supported(self.version):
            process.kill()
            wanted = ".".join(map(str, MINIMUM_VERSION))
            raise ExifToolUnavailableError(f"exiftool {self.version} is older than {wanted}: {_INSTALL}")
        self._process = process
        return process


def supported(version: str) -> bool:
    """Whether this version of exiftool, as `-ver` prints it, may read files of unknown origin."""
    found = re.fullmatch(r"(\d+)\.(\d+).*", version)
    return found is not None and (int(found[1]), int(found[2])) >= MINIMUM_VERSION


class _Process(exiftool.ExifTool):  # type: ignore[misc]  # pyexiftool publishes no types
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
        answers, failure = self.ask([[param.encode() for param in params]])
        if failure is not None:
            self.kill()
            raise RuntimeError(failure)
        return answers[0][0].decode("utf-8", "replace")

    def ask(self, commands: Sequence[Sequence[bytes]]) -> tuple[list[tuple[bytes, bytes]], str | None]:
        """Standard output and error of each command, up to the first that failed, and how it failed."""
        seed = 10**14 + secrets.randbelow(9 * 10**14)
        numbers = [b"%d%d" % (seed, i) for i in range(len(commands))]
        lines = (
            b"\n".join([*command, b"-echo4", b"{end%b}" % number, b"-execute%b\n" % number])
            for number, command in zip(numbers, commands, strict=True)
        )
        request = memoryview(b"".join(lines))
        sink, out, err = (pipe.fileno() for pipe in (self._process.stdin, self._process.stdout, self._process.stderr))
        os.set_blocking(sink, False)
        read = {out: bytearray(), err: bytearray()}
        answers: list[tuple[bytes, bytes]] = []
        deadline = time.monotonic() + self._limits.answer_s
        too_much = f"exiftool printed more than {self._limits.answer_bytes} bytes"
        with selectors.DefaultSelector() as selector:
            for source in read:
                selector.register(source, selectors.EVENT_READ)
            selector.register(sink, selectors.EVENT_WRITE)
            while len(answers) < len(commands):
                if max(map(len, read.values())) > self._limits.answer_bytes:
                    return answers, too_much
                if time.monotonic() > deadline:
                    return answers, f"exiftool gave no answer within {self._limits.answer_s:g} s"
                if not read.keys() & selector.get_map().keys():
                    cause = ": it ran out of memory" if b"Out of memory" in read[err] else ""
                    return answers, f"exiftool ended while reading this file{cause}"
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    try:
                        if key.fd == sink:
                            request = request[os.write(sink, request[:_CHUNK_BYTES]) :]
                            done = not request
                        else:
                            chunk = os.read(key.fd, _CHUNK_BYTES)
                            read[key.fd] += chunk
                            done = not chunk
                    except BrokenPipeError:  # then its output ends too, after what it still answered
                        done = True
                    if done:
                        selector.unregister(key.fd)
                for number in numbers[len(answers) :]:
                    ready, end = b"{ready%b}\n" % number, b"{end%b}\n" % number
                    places = read[out].find(ready), read[err].find(end)
                    if min(places) < 0:
                        break
                    if max(places) > self._limits.answer_bytes:  # it came whole, in one go
                        return answers, too_much
                    answers.append((bytes(read[out][: places[0]]), bytes(read[err][: places[1]])))
                    del read[out][: places[0] + len(ready)], read[err][: places[1] + len(end)]
                    deadline = time.monotonic() + self._limits.answer_s
        return answers, None

    def kill(self) -> None:
        """End the process at once; it holds nothing worth closing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._flag_running_false()


def _refusal(path: Path) -> str | None:
    """Why a path is not given to exiftool: its commands are lines of text, and a pipe or device may never end."""
    if any(unicodedata.category(c) == "Cc" for c in str(path)):
        return "the file name holds control characters"
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return f"no such file ({getattr(error, 'strerror', None) or 'invalid name'})"
    return None if stat.S_ISREG(mode) else "not a regular file"


def _record(out: bytes, err: bytes, path: Path) -> ExifRecord:
    try:
        rows = json.loads(out.decode("utf-8", "replace"), parse_float=as_printed)
    except (ValueError, RecursionError):
        rows = None
    if not (isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], dict)):
        # No path of the machine goes into a table.
        said = err.decode("utf-8", "replace").replace(str(path), path.name).split("\n")[0].strip()
        return ExifRecord(None, error=f"exiftool printed no tags: {said[:200]}")
    tags: dict[str, object] = rows[0]
    warnings = tuple(str(value) for tag, value in tags.items() if tag == "ExifTool:Warning")
    if "ExifTool:Error" in tags:
        return ExifRecord(None, warnings, str(tags["ExifTool:Error"]))
    return ExifRecord(ingested(tags), warnings)
