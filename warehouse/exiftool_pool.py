"""Several exiftool processes over the pictures of many sources, each opened where it lies or fetched ahead of them.

Handing pictures to processes, fetching bytes from buckets, addresses and tar shards in time, and how much of them is
held at once belong here. One process is in `exiftool.py`.

One thread for each process: it opens files, sends commands and makes records of answers, while the others do the same
and exiftool reads. Python's part is a tenth of exiftool's, so one interpreter feeds about ten processes.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Self

from warehouse.exiftool import ExifReader, ExifRecord, Opener
from warehouse.exiftool_files import ExifFile, hold, open_file
from warehouse.exiftool_process import ExifLimits
from warehouse.home import UserError
from warehouse.places import Place, RefusedError, Source
from warehouse.sources import read_place

HELD_BYTES = 128 << 20
"""Bytes that are fetched or held for exiftool at once, at most; a larger picture is held when there is no other."""


def read_places(
    sources: Mapping[str, Source],
    places: Sequence[Place],
    processes: int,
    limits: ExifLimits | None = None,
    version: str | None = None,
) -> list[ExifRecord]:
    """One record for each place, in order; a picture that cannot be had or read is a record with a reason.

    Raises UserError where there is no exiftool, or another one than that of a `version` that is asked for.
    """
    records: dict[int, ExifRecord] = {}
    count = max(1, min(processes, len(places)))

    def work() -> None:
        with ExifReader(limits) as reader:
            if version not in (None, reader.version):
                said = f"exiftool {reader.version} is installed, the run reads with {version}: install the same"
                raise UserError(said)
            reader.read_each(jobs.take, records.__setitem__)

    # The jobs end first, so that after an error the other threads come to an end too.
    with ThreadPoolExecutor(count) as threads, _Jobs(sources, places) as jobs:
        done, _ = wait([threads.submit(work) for _ in range(count)], return_when=FIRST_EXCEPTION)
        for each in done:
            each.result()
    return [records[number] for number in range(len(places))]


class _Jobs:
    """Places in order, handed out to whoever asks; what is not a local file is fetched ahead, within HELD_BYTES."""

    def __init__(self, sources: Mapping[str, Source], places: Sequence[Place]) -> None:
        self._sources = sources
        self._rest = deque(enumerate(places))
        self._ready: deque[tuple[int, Opener, Future[ExifFile] | None]] = deque()
        self._ahead = 2 * max((sources[name].concurrency for name in {place.source for place in places}), default=1)
        self._fetchers: dict[str, ThreadPoolExecutor] = {}
        self._held_bytes = 0
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._rest.clear()
            left = [future for _, _, future in self._ready if future]
            self._ready.clear()
            self._changed.notify_all()
        for fetcher in self._fetchers.values():
            fetcher.shutdown(cancel_futures=True)
        for future in left:
            if not future.cancelled() and not future.exception():
                future.result().close()

    def take(self, wait: bool) -> tuple[int, Opener] | None:
        """The next place; None where there is none left, or, told not to wait, none before a file is closed."""
        with self._changed:
            self._admit()
            while wait and self._rest and not self._ready:
                self._changed.wait()
                self._admit()
            if not self._ready:
                return None
            number, opener, _ = self._ready.popleft()
            return number, opener

    def _admit(self) -> None:
        while self._rest and len(self._ready) < self._ahead:
            number, place = self._rest[0]
            opener: Opener
            future = None
            try:
                path = self._sources[place.source].local_path(place.uri, place.span)
            except RefusedError as error:
                opener = partial(_refuse, error)
            else:
                if path is not None:
                    opener = partial(open_file, path, place.size, place.modified_ns)
                else:
                    size = place.size or 0
                    if self._held_bytes and self._held_bytes + size > HELD_BYTES:
                        return
                    self._held_bytes += size
                    future = self._fetcher(place.source).submit(self._fetch, place, size)
                    opener = future.result
            self._ready.append((number, opener, future))
            self._rest.popleft()

    def _fetcher(self, name: str) -> ThreadPoolExecutor:
        if name not in self._fetchers:
            self._fetchers[name] = ThreadPoolExecutor(self._sources[name].concurrency)
        return self._fetchers[name]

    def _fetch(self, place: Place, size: int) -> ExifFile:
        try:
            file = hold(read_place(self._sources, place))
        except BaseException:
            self._release(size)
            raise
        file.closing.callback(self._release, size)
        return file

    def _release(self, size: int) -> None:
        with self._changed:
            self._held_bytes -= size
            self._changed.notify_all()


def _refuse(error: RefusedError) -> ExifFile:
    raise error
