"""What earlier crawls of a corpus committed, and which of it can be compared with a listing by itself.

Reading the rows, and dividing rows and names by shards so that some are in memory at a time, belong here; comparing
them to `crawl_plan.py`.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from warehouse.schema import TABLES
from warehouse.shards import frame, quarantine_of, quarantine_partition
from warehouse.store import Shard, Store, shard_bits

_TOGETHER_BITS = 4
"""So many bits fewer than tell shards apart tell apart what is compared at once: 16 shards."""


@dataclass(frozen=True)
class Rows:
    """Rows of `files`, each with the `shard` it lies in, and of the quarantine."""

    files: pl.DataFrame
    refused: pl.DataFrame


@dataclass(frozen=True)
class Crawled:
    """What earlier crawls of a corpus committed.

    `written` are the shards of `files` by name, each with that of the quarantine which was written with it (None: it is
    gone). `digest` is the identity of all (None: nothing yet), `version` that of the stage.
    """

    store: Store
    corpus: str
    written: Mapping[str, tuple[Shard, Shard | None]] = field(default_factory=dict)
    digest: str | None = None
    version: int | None = None

    def read(self, names: Collection[str]) -> Rows:
        """The rows in shards of these names."""
        folder = self.store.folder("files", self.corpus)
        beside = self.store.folder("quarantine", quarantine_partition("files", self.corpus))
        rows = [frame("files", []).with_columns(shard=pl.lit(None, pl.String))]
        refused = [frame("quarantine", [])]
        for name in names:
            shard, other = self.written[name]
            rows.append(pl.read_parquet(folder / shard.file).with_columns(shard=pl.lit(name)))
            if other is not None:
                refused.append(pl.read_parquet(beside / other.file))
        return Rows(pl.concat(rows), pl.concat(refused))

    def uris(self, name: str) -> set[str]:
        """The uris in a shard."""
        path = self.store.folder("files", self.corpus) / self.written[name][0].file
        return set(pl.read_parquet(path, columns=["uri"])["uri"])


def crawled(store: Store, corpus: str) -> Crawled:
    """What was committed of a corpus."""
    manifest = store.manifest("files", corpus)
    if manifest is None:
        return Crawled(store, corpus)
    # Not from the quarantine's manifest: after a kill between the two commits that is the next crawl's.
    written = {_name(shard): (shard, quarantine_of(store, "files", corpus, shard)) for shard in manifest.shards}
    return Crawled(store, corpus, written, manifest.digest, manifest.provenance.get("version"))


def divided(names: Sequence[str], before: Crawled) -> tuple[int, Iterator[tuple[list[int], list[str]]]] | None:
    """What can be compared by itself: places in the listing, and shards; before that, the bits that tell shards apart.

    Shards are cut by leading bits, so those that begin with the same bits hold what begins with them, now and before.
    None where the shards before are others: those of tar shards.
    """
    if not all(name.isdigit() for name in before.written):
        return None
    hashes = np.fromiter((_leading(name) for name in names), np.uint64, len(names))
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]

    def places(number: int, bits: int) -> list[int]:
        """Of the names that begin with these bits, in the order of the listing."""
        low, high = np.searchsorted(hashes, [number << 32 - bits, number + 1 << 32 - bits])
        return np.sort(order[low:high]).tolist()  # type: ignore[no-any-return]

    depth = max(map(int, before.written), default=0).bit_length()
    gone = 0
    for name in before.written:
        uris = before.uris(name)
        if any(_leading(uri) >> 32 - depth != int(name) for uri in uris):
            return None
        gone += len(uris.difference(names[place] for place in places(int(name), depth)))
    bits = table_bits(len(names) + gone)
    common = max(0, (min(bits, depth) if before.written else bits) - _TOGETHER_BITS)
    shards: dict[int, list[str]] = {}
    for name in before.written:
        shards.setdefault(int(name) >> depth - common, []).append(name)
    return bits, ((places(number, common), shards.get(number, [])) for number in range(1 << common))


def table_bits(uris: int) -> int:
    """How many leading bits tell the shards of so many uris apart."""
    return shard_bits(uris, TABLES["files"].shard_rows)


def _leading(uri: str) -> int:
    """The first 32 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(uri.encode()).digest()[:4])


def _name(shard: Shard) -> str:
    return shard.file.partition("-")[0]
