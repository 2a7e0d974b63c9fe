"""Going through pictures: each is read from its source and decoded, or refused with the reason.

What is made of the pixels belongs to the stages. The guarded process of `decoding.py` imports that module, so that this
one, which knows tables, stands apart.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle

import numpy as np
import numpy.typing as npt

from assets.decoding import decoding
from warehouse.guarded import Guarded
from warehouse.places import Place, RefusedError, Source
from warehouse.shards import Quarantined
from warehouse.sources import read_place

Pixels = npt.NDArray[np.uint8]


def decoded_pictures(
    sources: Mapping[str, Source], places: Iterable[Place], refused: list[Quarantined], decoders: int = 1
) -> Iterator[tuple[Place, Pixels]]:
    """Pictures with their pixels, in order; those whose pixels cannot be had join `refused`, with the reason.

    Several `decoders` work side by side, ahead of whoever takes the pictures.
    """
    ahead = _one_by_one(sources, places) if decoders == 1 else _ahead(sources, places, decoders)
    for place, found in ahead:
        if isinstance(found, RefusedError):
            refused.append(Quarantined(place.source, place.uri, found.reason, found.detail, place.sha256))
        else:
            yield place, found


def _one_by_one(
    sources: Mapping[str, Source], places: Iterable[Place]
) -> Iterator[tuple[Place, Pixels | RefusedError]]:
    with decoding() as decode:
        for place in places:
            yield place, _read(decode, sources, place)


def _ahead(
    sources: Mapping[str, Source], places: Iterable[Place], decoders: int
) -> Iterator[tuple[Place, Pixels | RefusedError]]:
    """By guarded processes in turn, each called by a thread of its own; of each one picture waits, one is decoded."""
    waiting: deque[tuple[Place, Future[Pixels | RefusedError]]] = deque()
    with ExitStack() as opened:
        # Threads end before the processes that they call.
        guards = [opened.enter_context(decoding()) for _ in range(decoders)]
        threads = [opened.enter_context(ThreadPoolExecutor(1)) for _ in range(decoders)]
        try:
            for place, decode, thread in zip(places, cycle(guards), cycle(threads), strict=False):
                if len(waiting) == 2 * decoders:
                    first, future = waiting.popleft()
                    yield first, future.result()
                waiting.append((place, thread.submit(_read, decode, sources, place)))
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _read(decode: Guarded[Pixels], sources: Mapping[str, Source], place: Place) -> Pixels | RefusedError:
    try:
        return decode(read_place(sources, place))
    except RefusedError as error:
        return error
