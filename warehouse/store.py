"""Tables on disk: immutable Parquet shards and one manifest that says which of them are the table now.

    tables/<table>/v<version>/<partition>/<shard>-<content hash>.parquet
    tables/<table>/v<version>/<partition>/manifest.json

A shard is written under a temporary name, flushed and renamed; the manifest comes last, by rename. Readers follow
manifests only, so a run killed at any moment leaves nothing half-visible, and its finished shards are found again by
the digest of their inputs. Of two writers that began from the same manifest one is told that the other was first
(`commits.py` has why). What columns there are is in `schema.py`; what a table is made from belongs to the stages.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import commits
from warehouse.commits import MANIFEST
from warehouse.home import UserError, digest, draft_path, put_in_place, writing
from warehouse.schema import TABLES
from warehouse.shard_rows import row_groups

WHOLE = "all"
_UNUSED_SECONDS = 24 * 3600.0
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS}
_INPUTS = b"sdaie.inputs"
_BESIDE = b"sdaie.beside"
_PARTITION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Shard:
    """A finished Parquet file of a table: its name in the partition's folder, its rows, the digest of its inputs."""

    file: str
    rows: int
    inputs: str


@dataclass(frozen=True)
class Manifest:
    """What belongs to a partition of a table now, and what it was made from."""

    table: str
    partition: str
    shards: tuple[Shard, ...]
    provenance: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def digest(self) -> str:
        """The identity of the contents: equal rows, equal digest, whatever they were made from."""
        return digest([self.table, self.partition, [shard.file for shard in self.shards]])


def shard_bits(rows: int, shard_rows: int) -> int:
    """Number of leading bits of a SHA-256 that split `rows` rows into shards of at most about `shard_rows`."""
    bits = 0
    while rows > shard_rows << bits:
        bits += 1
    return bits


def shard_of(sha256: str, bits: int) -> str:
    """Name of the shard that holds this content: depends on the content alone, not on the order of arrival."""
    return f"{int(sha256[:8], 16) >> (32 - bits):06d}" if bits else f"{0:06d}"


def shard_inputs(metadata: pq.FileMetaData) -> str:
    """The digest of the inputs of a shard, from the metadata of its file."""
    inputs: bytes = (metadata.metadata or {}).get(_INPUTS, b"")
    return inputs.decode()


class Store:
    """The tables of one home.

    Raises UserError for a partition name that is no plain file name, and for a table that is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, table: str, partition: str = WHOLE) -> Path:
        """Where the shards of a partition lie."""
        if not _PARTITION.fullmatch(partition):
            raise UserError(f"{partition!r} cannot name a partition: letters, digits, dot, dash and underscore only")
        return self.root / table / f"v{TABLES[table].version}" / partition

    def partitions(self, table: str) -> list[str]:
        """Partitions that have been written, sorted."""
        folder = self.root / table / f"v{TABLES[table].version}"
        return sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}") if path.stat().st_size)

    def find_shards(self, table: str, partition: str, wanted: Mapping[str, str]) -> dict[str, list[Shard]]:
        """Finished shards of this or earlier runs by name, of those `wanted` (name and inputs) that were made already.

        There are several of a name where tries from the same inputs went differently.
        """
        found: dict[str, list[Shard]] = {}
        for path in self.finished(table, partition):
            name = path.name.partition("-")[0]
            if name in wanted:
                shard = self.shard(table, partition, path.name)
                if shard is not None and shard.inputs == wanted[name]:
                    found.setdefault(name, []).append(shard)
        return found

    def shard(self, table: str, partition: str, file: str) -> Shard | None:
        """A finished shard by the name of its file, to be taken for a table; None where it is not there."""
        path = self.folder(table, partition) / file
        try:
            metadata = pq.read_metadata(path)
            _make_young(path)
        except FileNotFoundError:
            return None
        return Shard(file, metadata.num_rows, shard_inputs(metadata))

    def beside(self, table: str, partition: str, shard: Shard) -> str:
        """The name of the file that was written together with a shard, as given to `write_shard`."""
        metadata = pq.read_metadata(self.folder(table, partition) / shard.file).metadata or {}
        return str(metadata.get(_BESIDE, b"").decode())

    def finished(self, table: str, partition: str) -> list[Path]:
        """Every finished shard of a partition, whether a manifest names it or not; sorted."""
        return sorted(self.folder(table, partition).glob("[!.]*-*.parquet"))

    def write_shard(
        self,
        table: str,
        rows: pl.DataFrame | pa.Table | Iterable[pl.DataFrame],
        *,
        partition: str = WHOLE,
        shard: str = "000000",
        inputs: str = "",
        beside: str = "",
    ) -> Shard:
        """Write rows (any order, exactly the table's columns) as one shard, sorted by the table's key.

        Rows may come in parts, each behind the one before: then they need not be in memory at once. `beside` names a
        file of another table that belongs to it.

        Raises ValueError when columns, types or keys are not those of the schema.
        """
        definition = TABLES[table]
        schema = definition.arrow.with_metadata({_INPUTS: inputs.encode(), _BESIDE: beside.encode()})
        groups = row_groups(definition, [rows] if isinstance(rows, pl.DataFrame | pa.Table) else rows)
        folder = self.folder(table, partition)
        # A draft of its own: the same shard may be in the hands of two workers, one of them given up for lost.
        with writing(folder / f"{shard}.parquet"), draft_path(folder, ".parquet") as draft:
            written = 0
            with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
                for group in groups:
                    writer.write_table(group, definition.row_group_rows)
                    written += group.num_rows
            with draft.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            name = f"{shard}-{content}.parquet"
            put_in_place(draft, folder / name)
        return Shard(name, written, inputs)

    def generation(self, table: str, partition: str = WHOLE) -> int:
        """A number that stands for what a partition is now, for `commit` to compare; 0 where no number was given yet.

        To be asked for before anything is read that the next manifest is made from. What a killed writer had decided
        is finished first.
        """
        return commits.newest(self.folder(table, partition))

    def commit(
        self,
        table: str,
        shards: Sequence[Shard],
        *,
        partition: str = WHOLE,
        provenance: Mapping[str, Any] | None = None,
        beside: Sequence[Manifest] = (),
        after: int | None = None,
    ) -> Manifest:
        """Make these shards the table; its files that are in no use for a day are removed.

        `beside` are manifests of other tables that are replaced with it, all or none: they are written by nobody
        else. Files of the tables before these stay for whoever still reads them, and young ones for whoever is about to
        commit them: another run, or this one after a kill.

        Raises UserError, and changes nothing, where the table is no longer of the generation `after` (None: of that it
        is now), unless all would stay as it is.
        """
        manifest = Manifest(table, partition, tuple(shards), dict(provenance or {}))
        together = [*beside, manifest]
        texts = {self.folder(each.table, each.partition): _text(each) for each in together}
        now = self.generation(table, partition)
        former = [self.manifest(each.table, each.partition) for each in together]
        if commits.replace(self.folder(table, partition), texts, now, after):
            for each, before in zip(together, former, strict=True):
                self._remove_unused(each, before)
        return manifest

    def write(
        self,
        table: str,
        rows: pl.DataFrame | pa.Table,
        *,
        partition: str = WHOLE,
        provenance: Mapping[str, Any] | None = None,
        after: int | None = None,
    ) -> Manifest:
        """Write and commit a partition that fits one shard. Raises UserError as `commit` does."""
        shard = self.write_shard(table, rows, partition=partition)
        return self.commit(table, [shard], partition=partition, provenance=provenance, after=after)

    def drop(self, table: str, partition: str, *, beside: Iterable[tuple[str, str]] = ()) -> None:
        """Take a partition out of the table, and partitions of others (table, partition) that were committed with it.

        Raises UserError where another writer commits it at this moment.
        """
        texts = {self.folder(*each): "" for each in [*beside, (table, partition)]}
        commits.replace(self.folder(table, partition), texts, self.generation(table, partition), None)

    def _remove_unused(self, manifest: Manifest, before: Manifest | None) -> None:
        folder = self.folder(manifest.table, manifest.partition)
        keep = {shard.file for each in (manifest, before) if each for shard in each.shards}
        # Just written, so it tells the time by the clock that dates the others.
        old = (folder / MANIFEST).stat().st_mtime - _UNUSED_SECONDS
        for path in folder.glob("*.parquet"):
            with suppress(FileNotFoundError):
                if path.name not in keep and path.stat().st_mtime < old:
                    path.unlink()
        commits.forget(folder, old)

    def manifest(self, table: str, partition: str = WHOLE) -> Manifest | None:
        """What the partition is now; None where nothing was written yet."""
        try:
            text = (self.folder(table, partition) / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        # Of a partition that was taken out an empty file stays.
        if not text:
            return None
        document = json.loads(text)
        shards = tuple(Shard(s["file"], s["rows"], s["inputs"]) for s in document["shards"])
        return Manifest(table, partition, shards, document["provenance"])

    def other_version(self, table: str, partition: str = WHOLE) -> int | None:
        """The newest other version of the table in which the partition is there; None where this one is, or none."""
        if self.manifest(table, partition) is not None:
            return None
        manifests = [path for path in self.root.glob(f"{table}/v*/{partition}/{MANIFEST}") if path.stat().st_size]
        return max((int(path.parent.parent.name.removeprefix("v")) for path in manifests), default=None)

    def paths(self, table: str, partitions: Iterable[str] | None = None) -> list[Path]:
        """The Parquet files of a table, or of some of its partitions, in order."""
        found = []
        for partition in self.partitions(table) if partitions is None else partitions:
            manifest = self.manifest(table, partition)
            if manifest is not None:
                found += [self.folder(table, partition) / shard.file for shard in manifest.shards]
        return found

    def read(
        self, table: str, partitions: Iterable[str] | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """A table, or some partitions of it, in memory; without rows where nothing was written."""
        names = list(columns) if columns is not None else list(TABLES[table].column_names)
        frames = [pl.read_parquet(path, columns=names) for path in self.paths(table, partitions)]
        empty = pl.from_arrow(TABLES[table].arrow.empty_table().select(names))
        assert isinstance(empty, pl.DataFrame)
        return pl.concat([empty, *frames])


def _make_young(path: Path) -> None:
    """Keep a file, where it is ours, from being removed as old by another writer before it is committed."""
    try:
        os.utime(path)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def _text(manifest: Manifest) -> str:
    document = {
        "table": manifest.table,
        "partition": manifest.partition,
        "provenance": manifest.provenance,
        "shards": [{"file": s.file, "rows": s.rows, "inputs": s.inputs} for s in manifest.shards],
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
