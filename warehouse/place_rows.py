"""Many places kept as columns: what ten million tuples would take gigabytes for.

Only that belongs here: what a place is belongs to `places.py`, which photographs are meant to whoever reads their rows.
"""

from collections.abc import Iterator, Sequence
from typing import overload

import polars as pl

from warehouse.places import Place

_COLUMNS = ("photo_id", "corpus", "uri", "span", "size_bytes", "modified_ns")
"""Of table `photos`, in the order of the fields of a Place."""


class PlaceRows(Sequence[Place]):
    """The places of rows of `photos`; each is made when it is asked for."""

    def __init__(self, photographs: pl.DataFrame) -> None:
        self._rows = photographs.select(_COLUMNS)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Place]:
        return map(Place._make, self._rows.iter_rows())

    @overload
    def __getitem__(self, number: int) -> Place: ...
    @overload
    def __getitem__(self, number: slice) -> "PlaceRows": ...
    def __getitem__(self, number: int | slice) -> "Place | PlaceRows":
        return PlaceRows(self._rows[number]) if isinstance(number, slice) else Place(*self._rows.row(number))

    def by_content(self) -> "PlaceRows":
        """The same, sorted by SHA-256."""
        return PlaceRows(self._rows.sort("photo_id", maintain_order=True))

    def contents(self) -> Iterator[str]:
        """The SHA-256 of each."""
        return iter(self._rows["photo_id"])
