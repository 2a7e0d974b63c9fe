"""Patches for training, from the shards of stored crops.

Here belong reading the Parquet shards, decoding, the order of photographs, and cutting patches. What is learned from
them is in `pretext`, the loop in `train`; how crops are cut from photographs is in `cutting`.
"""

from __future__ import annotations

import io
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.backbone import PATCH

Crop = NDArray[np.uint8]

PREFETCHED = 3
"""Batches cut ahead of the network."""

DECODERS = min(8, os.cpu_count() or 1)
"""Threads that decode; what they decode does not depend on their number."""

CROP_BYTES = 256 * 256 * 3


class CropsError(ValueError):
    """The crop shards cannot be used; the message names the shard and says why."""


@dataclass(frozen=True)
class Batch:
    """Patches (B, N, side, side, 3), of 64 px but where another side is asked for, of B photographs, and their rows."""

    patches: NDArray[np.uint8]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class _Unit:
    """A row group of a shard: which of its rows are of wanted photographs, and their target rows.

    A photograph belongs to one unit; crops of it in a later row group are not used.
    """

    path: Path
    row_group: int
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]


def cut_at(crop: Crop, places: NDArray[np.float64], side: int = PATCH) -> NDArray[np.uint8]:
    """Cut patches (n, side, side, 3) of a crop (H, W, 3) at places (n, 2) in [0, 1): shares of where they may begin."""
    windows = sliding_window_view(crop, (side, side), axis=(0, 1))
    tops, lefts = (places * windows.shape[:2]).astype(np.int64).T
    patches: NDArray[np.uint8] = windows[tops, lefts].transpose(0, 2, 3, 1)
    return patches


def _decode(png: bytes, name: str) -> Crop:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise CropsError(f"{name}: not a readable PNG; cut the crops again") from error
    if min(pixels.shape[:2]) < PATCH:
        raise CropsError(f"{name}: {pixels.shape[1]} x {pixels.shape[0]} pixels hold no {PATCH} x {PATCH} patch")
    return pixels


class CropShards:
    """The crops of wanted photographs in Parquet shards; the columns `key` and png are read.

    `photos` maps the key to the photograph's row in the targets; crops of other photographs are never decoded.
    CropsError for a shard without the columns, a crop that is no PNG, or when no wanted photograph has a crop.
    """

    def __init__(self, paths: Sequence[Path], photos: Mapping[str, int], key: str = "photo_id") -> None:
        self.units: list[_Unit] = []
        taken: set[str] = set()
        for path in sorted(paths):
            parquet = pq.ParquetFile(path)
            absent = {key, "png"} - set(parquet.schema_arrow.names)
            if absent:
                raise CropsError(f"{path.name}: no column {', '.join(sorted(absent))}; cut the crops again")
            for group in range(parquet.num_row_groups):
                ids = parquet.read_row_group(group, columns=[key])[key].to_pylist()
                found = [(i, photos[photo]) for i, photo in enumerate(ids) if photo in photos and photo not in taken]
                taken.update(ids)
                if found:
                    positions, rows = np.array(found, dtype=np.int64).T
                    self.units.append(_Unit(path, group, positions, rows))
        if not self.units:
            raise CropsError("no crop of any wanted photograph in the shards; cut the crops first")
        self.rows = np.unique(np.concatenate([unit.rows for unit in self.units]))

    def read(self, unit: _Unit, chosen: NDArray[np.int64]) -> list[Crop]:
        """Decode the chosen crops of a unit, as indices into its positions."""
        column = pq.ParquetFile(unit.path).read_row_group(unit.row_group, columns=["png"])["png"]
        return [
            _decode(column[int(position)].as_py(), f"{unit.path.name}, row group {unit.row_group}, row {position}")
            for position in unit.positions[chosen]
        ]


@dataclass(frozen=True)
class _Window:
    """Units that are decoded together, and the order in which their photographs come."""

    units: tuple[int, ...]
    rows: NDArray[np.int64]


class TrainingBatches:
    """The batches of training: batch k depends on the seed, on k and on the shards alone, whatever came before.

    Each epoch goes through all photographs once, one random crop each, `patches` patches of it. Where all crops fit
    into the memory, decoded, an epoch is one shuffled window; where they do not, row groups are shuffled, and
    photographs within windows of half the memory, so that the next one is decoded meanwhile. Batches are cut ahead by
    threads. `part` of `parts` takes its share of each batch; all parts together take the batch that one would take.
    `augment` is given each crop before patches of `side` px are cut, with the step and the place in the whole batch.
    `crop_bytes` is what a decoded crop takes.
    """

    def __init__(
        self,
        shards: CropShards,
        seed: int,
        size: int,
        patches: int,
        memory_bytes: int,
        part: int = 0,
        parts: int = 1,
        augment: Callable[[Crop, int, int], Crop] = lambda crop, step, place: crop,
        side: int = PATCH,
        crop_bytes: int = CROP_BYTES,
    ) -> None:
        self._shards, self._seed, self._size, self._patches, self._augment = shards, seed, size, patches, augment
        self._side = side
        self._part = slice(part * size // parts, (part + 1) * size // parts)
        crops = [len(unit.rows) for unit in shards.units]
        whole = sum(crops) * crop_bytes <= memory_bytes
        self._window_crops = sum(crops) if whole else max(1, memory_bytes // 2 // crop_bytes)
        self._epochs: dict[int, list[_Window]] = {}
        self._unit_of = {row: number for number, unit in enumerate(shards.units) for row in unit.rows.tolist()}
        self._decoded: dict[int, Future[dict[int, list[Crop]]]] = {}
        self._current: _Window | None = None
        self._decoders, self._cutter = ThreadPoolExecutor(DECODERS), ThreadPoolExecutor(1)
        self.waited_seconds = 0.0

    def from_step(self, step: int) -> Generator[Batch, None, None]:
        """Batches from the given step on, without end; `waited_seconds` counts what the caller has to wait."""
        ahead: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(ahead) <= PREFETCHED:
                    ahead.append(self._cutter.submit(self.batch, step))
                    step += 1
                started = time.perf_counter()
                batch = ahead.popleft().result()
                self.waited_seconds += time.perf_counter() - started
                yield batch
        finally:
            for future in ahead:
                future.cancel()

    def batch(self, step: int) -> Batch:
        """This part of batch `step`."""
        rng = np.random.default_rng([self._seed, 1, step])
        which, places = rng.random(self._size), rng.random((self._size, self._patches, 2))
        cuts, rows = [], []
        for place in range(self._size)[self._part]:
            row, crops = self._photograph(step * self._size + place)
            crop = crops[int(which[place] * len(crops))]
            cuts.append(cut_at(self._augment(crop, step, place), places[place], self._side))
            rows.append(row)
        return Batch(np.stack(cuts), np.array(rows))

    def _photograph(self, position: int) -> tuple[int, list[Crop]]:
        """Row and crops of the photograph at a position of the endless order."""
        epoch, place = divmod(position, len(self._shards.rows))
        windows = self._epoch(epoch)
        for number, window in enumerate(windows):
            if place < len(window.rows):
                row = int(window.rows[place])
                if window is not self._current:
                    self._enter(window, windows[number + 1] if number + 1 < len(windows) else self._epoch(epoch + 1)[0])
                return row, self._decoded[self._unit_of[row]].result()[row]
            place -= len(window.rows)
        raise AssertionError("a photograph belongs to one window")

    def _epoch(self, epoch: int) -> list[_Window]:
        """The windows of an epoch: which photographs come in which order is decided here alone."""
        if epoch not in self._epochs:
            rng = np.random.default_rng([self._seed, 0, epoch])
            windows: list[list[int]] = [[]]
            room = self._window_crops
            for unit in rng.permutation(len(self._shards.units)).tolist():
                crops = len(self._shards.units[unit].rows)
                if windows[-1] and crops > room:
                    windows.append([])
                    room = self._window_crops
                windows[-1].append(unit)
                room -= crops
            self._epochs = {key: value for key, value in self._epochs.items() if key >= epoch - 1}
            self._epochs[epoch] = [self._shuffled(units, rng) for units in windows]
        return self._epochs[epoch]

    def _shuffled(self, units: list[int], rng: np.random.Generator) -> _Window:
        # In the shards' order first: what is shuffled must not depend on how the units came.
        kept = tuple(sorted(units))
        rows = np.unique(np.concatenate([self._shards.units[unit].rows for unit in kept]))
        return _Window(kept, rng.permutation(rows))

    def _enter(self, window: _Window, following: _Window) -> None:
        """Have the units of a window decoded, then those of the window that follows; forget all others."""
        for unit in (*window.units, *following.units):
            if unit not in self._decoded:
                self._decoded[unit] = self._decoders.submit(self._decode, self._shards.units[unit])
        for unit in self._decoded.keys() - {*window.units, *following.units}:
            del self._decoded[unit]
        self._current = window

    def _decode(self, unit: _Unit) -> dict[int, list[Crop]]:
        decoded: dict[int, list[Crop]] = {}
        for row, crop in zip(unit.rows.tolist(), self._shards.read(unit, np.arange(len(unit.rows))), strict=True):
            decoded.setdefault(row, []).append(crop)
        return decoded

    @property
    def rows(self) -> NDArray[np.int64]:
        """Target rows of the photographs."""
        return self._shards.rows

    def close(self) -> None:
        """End the threads."""
        for pool in (self._cutter, self._decoders):
            pool.shutdown(wait=False, cancel_futures=True)


def validation_batches(shards: CropShards, photographs: int, patches: int, size: int, seed: int) -> Iterator[Batch]:
    """The same patches at every call: up to `photographs` photographs, one crop each, in batches of `size`.

    Beyond that number a seeded sample of photographs is taken.
    """
    rng = np.random.default_rng(seed)
    wanted = set(rng.permutation(shards.rows)[:photographs].tolist())
    rows: list[int] = []
    cuts: list[NDArray[np.uint8]] = []
    for unit in shards.units:
        fresh = {int(row): i for i, row in reversed(list(enumerate(unit.rows))) if row in wanted}
        wanted -= fresh.keys()
        for row, crop in zip(fresh, shards.read(unit, np.array(list(fresh.values()), dtype=np.int64)), strict=True):
            rows.append(row)
            cuts.append(cut_at(crop, rng.random((patches, 2))))
    for start in range(0, len(rows), size):
        yield Batch(np.stack(cuts[start : start + size]), np.array(rows[start : start + size]))
