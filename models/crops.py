"""Patches for training, streamed from the shards of stored crops.

Here belong reading the Parquet shards, decoding, shuffling and cutting patches. What is learned from them is in
`pretext`, the loop in `train`; how crops are cut from photographs is not the models' business.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.backbone import PATCH

Crop = NDArray[np.uint8]

SHUFFLE_BUFFER = 1024
"""Decoded crops held for shuffling when the shards do not fit into memory: 200 MB."""

CROP_BYTES = 256 * 256 * 3


class CropsError(ValueError):
    """The crop shards cannot be used; the message names the shard and says why."""


@dataclass(frozen=True)
class Batch:
    """Patches (B, N, 64, 64, 3) of B photographs, and their rows in the targets."""

    patches: NDArray[np.uint8]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class _Unit:
    """A row group of a shard: which of its rows are of wanted photographs, and their target rows."""

    path: Path
    row_group: int
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]


def cut(crop: Crop, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut `count` patches (count, 64, 64, 3) at random places of a crop (H, W, 3)."""
    windows = sliding_window_view(crop, (PATCH, PATCH), axis=(0, 1))
    tops = rng.integers(windows.shape[0], size=count)
    lefts = rng.integers(windows.shape[1], size=count)
    return windows[tops, lefts].transpose(0, 2, 3, 1)


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
    """The crops of wanted photographs in Parquet shards (photo_id, crop, x, y, png).

    `photos` maps photo_id to its row in the targets; crops of other photographs are never decoded. CropsError
    for a shard without the columns, a crop that is no PNG, or when no wanted photograph has a crop.
    """

    def __init__(self, paths: Sequence[Path], photos: Mapping[str, int]) -> None:
        self.units: list[_Unit] = []
        for path in sorted(paths):
            parquet = pq.ParquetFile(path)
            absent = {"photo_id", "png"} - set(parquet.schema_arrow.names)
            if absent:
                raise CropsError(f"{path.name}: no column {', '.join(sorted(absent))}; cut the crops again")
            for group in range(parquet.num_row_groups):
                ids = parquet.read_row_group(group, columns=["photo_id"])["photo_id"].to_pylist()
                found = [(i, photos[photo]) for i, photo in enumerate(ids) if photo in photos]
                if found:
                    positions, rows = np.array(found, dtype=np.int64).T
                    self.units.append(_Unit(path, group, positions, rows))
        if not self.units:
            raise CropsError("no crop of any wanted photograph in the shards; cut the crops first")
        self.rows = np.unique(np.concatenate([unit.rows for unit in self.units]))
        self.count = sum(len(unit.rows) for unit in self.units)

    def read(self, unit: _Unit, chosen: NDArray[np.int64]) -> list[Crop]:
        """Decode the chosen crops of a unit, as indices into its positions."""
        column = pq.ParquetFile(unit.path).read_row_group(unit.row_group, columns=["png"])["png"]
        return [
            _decode(column[int(position)].as_py(), f"{unit.path.name}, row group {unit.row_group}, row {position}")
            for position in unit.positions[chosen]
        ]

    def fit(self, budget: int) -> bool:
        """Whether all wanted crops fit into a budget of bytes, decoded."""
        return self.count * CROP_BYTES <= budget


class Source(Protocol):
    """Where training takes its batches from."""

    def batch(self, size: int, patches: int) -> Batch:
        """Return the next batch of `size` photographs, `patches` each."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on from here."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        ...


class InMemory:
    """All crops decoded once; every epoch goes through all photographs in seeded order, one random crop each.

    Restoring continues with exactly the batches that would have come.
    """

    def __init__(self, shards: CropShards, seed: int, threads: int = 2) -> None:
        self._rng = np.random.default_rng(seed)
        self.rows = shards.rows
        self._crops: dict[int, list[Crop]] = {int(row): [] for row in shards.rows}
        with ThreadPoolExecutor(threads) as pool:
            decoded = pool.map(lambda unit: shards.read(unit, np.arange(len(unit.rows))), shards.units)
            for unit, crops in zip(shards.units, decoded, strict=True):
                for row, crop in zip(unit.rows, crops, strict=True):
                    self._crops[int(row)].append(crop)
        self._queue: list[int] = []

    def batch(self, size: int, patches: int) -> Batch:
        """Return the next batch; a photograph comes again only in the next epoch."""
        rows: list[int] = []
        while len(rows) < size:
            if not self._queue:
                self._queue = self._rng.permutation(self.rows).tolist()
            rows.append(self._queue.pop())
        crops = [self._crops[row][self._rng.integers(len(self._crops[row]))] for row in rows]
        return Batch(np.stack([cut(crop, patches, self._rng) for crop in crops]), np.array(rows))

    def state(self) -> dict[str, Any]:
        """Return the generator's state and what is left of the epoch."""
        return {"generator": self._rng.bit_generator.state, "queue": list(self._queue)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._rng.bit_generator.state = state["generator"]
        self._queue = list(state["queue"])


class Streamed:
    """Row groups read one after the other in seeded order, mixed in a shuffle buffer.

    Of a photograph's crops in one row group one random crop is decoded a pass. Restoring starts a new pass
    with the generator's state; crops that lay in the buffer may come again.
    """

    def __init__(self, shards: CropShards, seed: int, buffer: int = SHUFFLE_BUFFER) -> None:
        self._rng = np.random.default_rng(seed)
        self._shards = shards
        self.rows = shards.rows
        self._size = min(buffer, shards.count)
        self._buffer: list[tuple[int, Crop]] = []
        self._incoming = self._crops()

    def _crops(self) -> Iterator[tuple[int, Crop]]:
        while True:
            for index in self._rng.permutation(len(self._shards.units)):
                unit = self._shards.units[index]
                order = self._rng.permutation(len(unit.rows))
                _, first = np.unique(unit.rows[order], return_index=True)
                chosen = order[first]
                yield from zip(unit.rows[chosen].tolist(), self._shards.read(unit, chosen), strict=True)

    def batch(self, size: int, patches: int) -> Batch:
        """Return the next batch, drawn from a full buffer."""
        drawn = []
        for _ in range(size):
            while len(self._buffer) < self._size:
                self._buffer.append(next(self._incoming))
            place = int(self._rng.integers(len(self._buffer)))
            self._buffer[place], self._buffer[-1] = self._buffer[-1], self._buffer[place]
            drawn.append(self._buffer.pop())
        stacked = np.stack([cut(crop, patches, self._rng) for _, crop in drawn])
        return Batch(stacked, np.array([row for row, _ in drawn]))

    def state(self) -> dict[str, Any]:
        """Return the generator's state."""
        return {"generator": self._rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Start a new pass from a generator's state."""
        self._rng.bit_generator.state = state["generator"]
        self._buffer.clear()
        self._incoming = self._crops()


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
            cuts.append(cut(crop, patches, rng))
    for start in range(0, len(rows), size):
        yield Batch(np.stack(cuts[start : start + size]), np.array(rows[start : start + size]))
