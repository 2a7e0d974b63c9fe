"""The guarded reader: many files in, the tags of each out, whatever the files hold.

Which file was at fault when exiftool failed, starting exiftool anew, and making a record of an answer belong here. The
exchange with the process is in `exiftool_process.py`, what it opens in `exiftool_files.py`, several processes at once
in `exiftool_pool.py`. Nothing here knows what tags mean; which of them are kept is decided in `exif_privacy.py`.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

from warehouse.exif_privacy import ingested
from warehouse.exif_values import as_printed
from warehouse.exiftool_files import ExifFile, open_file
from warehouse.exiftool_process import ExifLimits, ExifProcess, ExifToolFailedError, start
from warehouse.places import RefusedError

FAILED = "exiftool_failed"


@dataclass(frozen=True)
class ExifRecord:
    """What exiftool says of one file: its tags by `group:name`, or None and why there are none, as code and words."""

    tags: dict[str, object] | None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    reason: str = FAILED


Opener = Callable[[], ExifFile]
"""Opens a file. Raises RefusedError where it cannot be had."""
Take = Callable[[bool], tuple[int, Opener] | None]
"""Gives the next file and its number, None where there is none left. Told not to wait: also where none is ready yet."""
Put = Callable[[int, ExifRecord], object]
"""Takes the record of the file of a number."""


class ExifReader:
    """A running exiftool; a context manager that raises UserError on entry where there is none to run.

    It belongs to the thread that enters it: on Linux exiftool ends when that thread does.
    """

    def __init__(self, limits: ExifLimits | None = None) -> None:
        self._limits = limits or ExifLimits()
        self._process: ExifProcess | None = None

    def __enter__(self) -> Self:
        self._running()
        return self

    def __exit__(self, *exception: object) -> None:
        self._kill()

    @property
    def version(self) -> str:
        """The version of exiftool."""
        return str(self._running().version)

    def read(self, paths: Sequence[Path]) -> list[ExifRecord]:
        """One record for each path, in order; a file that cannot be read is a record with an error."""
        records: dict[int, ExifRecord] = {}
        jobs = enumerate(partial(open_file, path) for path in paths)
        self.read_each(lambda wait: next(jobs, None), records.__setitem__)
        return [records[number] for number in range(len(paths))]

    def read_each(self, take: Take, put: Put) -> None:
        """Open file after file, a few ahead of exiftool, and `put` the record of each under its number.

        When exiftool fails, it is started anew and the file in question is asked alone: if it fails again, that file
        has the error. All others are answered as if it were not there.
        """
        waiting: deque[tuple[int, ExifFile]] = deque()
        fresh, again = _names(take, waiting, put), list[str]()
        try:
            while not self._read_until_failure(chain(again, fresh), waiting, put):
                number, file = waiting[0]
                try:
                    [answer] = self._running().answers([file.name])
                    waiting.popleft()
                    put(number, _settled(file, answer))
                except ExifToolFailedError as error:
                    self._kill()
                    waiting.popleft()
                    file.close()
                    put(number, ExifRecord(None, error=str(error)))
                again = [file.name for _, file in waiting]
        finally:
            for _, file in waiting:
                file.close()

    def _read_until_failure(self, names: Iterable[str | None], waiting: deque[tuple[int, ExifFile]], put: Put) -> bool:
        """Whether all were answered; those that were not are `waiting`, in order."""
        try:
            for answer in self._running().answers(names):
                number, file = waiting.popleft()
                put(number, _settled(file, answer))
        except ExifToolFailedError:
            self._kill()
            return False
        return True

    def _running(self) -> ExifProcess:
        if self._process is None:
            self._process = start(self._limits)
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _names(take: Take, waiting: deque[tuple[int, ExifFile]], put: Put) -> Iterator[str | None]:
    while True:
        job = take(not waiting)
        if job is None:
            if not waiting:
                return
            yield None
            continue
        number, opener = job
        try:
            file = opener()
        except RefusedError as error:
            put(number, _refused(error))
            continue
        waiting.append((number, file))
        yield file.name


def _settled(file: ExifFile, answer: tuple[bytes, bytes]) -> ExifRecord:
    try:
        file.settle()
    except RefusedError as error:
        return _refused(error)
    return _record(*answer, file.name)


def _refused(error: RefusedError) -> ExifRecord:
    return ExifRecord(None, error=error.detail, reason=error.reason)


def _record(out: bytes, err: bytes, name: str) -> ExifRecord:
    # No path of the machine and no number of a process goes into a table.
    printed, said = (text.decode("utf-8", "replace").replace(name, "the file") for text in (out, err))
    try:
        rows = json.loads(printed, parse_float=as_printed)
    except (ValueError, RecursionError):
        rows = None
    if not (isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], dict)):
        return ExifRecord(None, error=f"exiftool printed no tags: {said.split(chr(10))[0].strip()[:200]}")
    tags: dict[str, object] = rows[0]
    warnings = tuple(str(value) for tag, value in tags.items() if tag == "ExifTool:Warning")
    if "ExifTool:Error" in tags:
        return ExifRecord(None, warnings, str(tags["ExifTool:Error"]))
    return ExifRecord(ingested(tags), warnings)
