"""Pictures that a table names: CSV or Parquet with a column of files, which lie beside it or on the network.

Reading such a table and telling where each of its files lies belong here; what becomes of its groups and further
columns to the stages.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import polars as pl

from warehouse.addresses import HTTP, is_address, path_of, protocol, without_user
from warehouse.home import UserError
from warehouse.places import Listed, RefusedError
from warehouse.registry import Network
from warehouse.source_addresses import HttpStorage
from warehouse.source_bucket import BucketStorage
from warehouse.source_columns import kept_columns
from warehouse.source_folder import LocalStorage, folder_group
from warehouse.storage import Facts, Storage, remember

FILE_COLUMNS = ("file", "uri", "url")
BUCKETS = frozenset({"s3", "gs"})
"""Protocols that any table may name, beside those of the web and the one it lies on itself."""
SUFFIXES = frozenset({".csv", ".parquet"})


@dataclass(frozen=True)
class TableSource:
    """The files a table names: relative to its folder, on the web, in buckets.

    `storage` and `name` say where the table lies. The group is a column's value, else as in a folder; for an address it
    is the host or bucket with the first folder there.
    """

    storage: Storage
    name: str
    network: Network
    corpus: str = ""
    group: str | None = None

    @property
    def concurrency(self) -> int:
        """As many as the network takes, where any of the files lies there."""
        return self.network.concurrency if self._remote or _names_addresses(self) else 1

    def listing(self) -> list[Listed]:
        """All files the table names, each once; further columns go with them."""
        return remember(self, self._listing) if self._remote or _names_addresses(self) else self._listing()

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a file the table names."""
        return self._storage_of(uri).read(uri)

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """Tables hold no containers."""
        raise UserError(f"{container.uri}: not a tar shard")

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """Where the file lies, where that is here."""
        return self._storage_of(uri).local_path(uri)

    @property
    def _remote(self) -> bool:
        return not isinstance(self.storage, LocalStorage)

    def _storage_of(self, uri: str) -> Storage:
        """Where a file lies. Raises RefusedError for a protocol that tables may not name."""
        kind = protocol(uri)
        own = protocol(self.storage.folder) if isinstance(self.storage, BucketStorage) else None
        if kind is None or kind == own:
            if kind is None and own and uri.startswith("/"):
                raise RefusedError("protocol_refused", "a path of a machine in a table that lies in a bucket")
            return self.storage
        if kind in HTTP:
            return HttpStorage("", self.network)
        if kind in BUCKETS:
            return BucketStorage(f"{kind}://", self.network)
        raise RefusedError("protocol_refused", f"{kind}:// is not read from tables")

    def _listing(self) -> list[Listed]:
        table = self._table()
        if self.group is not None and self.group not in table.columns:
            raise UserError(f"{self.name}: has no column {self.group!r}; columns are {', '.join(table.columns)}")
        uris = file_column(table)
        named = {
            without_user(row[uris]) if protocol(row[uris]) in HTTP else row[uris]: row
            for row in table.iter_rows(named=True)
            if row[uris]
        }
        facts = self._facts(list(named))
        listed = []
        for uri, row in sorted(named.items()):
            group = (row[self.group] if self.group is not None else None) or _group(self.corpus, uri)
            columns = kept_columns({name: value for name, value in row.items() if name not in (uris, self.group)})
            listed.append(Listed(uri, group, *facts[uri], columns=columns))
        return listed

    def _facts(self, uris: list[str]) -> dict[str, Facts]:
        """What is known of each file, asked of each storage for all of its files at once."""
        facts: dict[str, Facts] = {}
        by_storage: dict[Storage, list[str]] = {}
        for uri in uris:
            try:
                by_storage.setdefault(self._storage_of(uri), []).append(uri)
            except RefusedError as refused:
                # Not as if nothing were there: the reason is to be heard when it is read.
                facts[uri] = Facts(etag=refused.reason)
        for storage, names in by_storage.items():
            facts.update(zip(names, storage.facts(names), strict=True))
        return facts

    def _table(self) -> pl.DataFrame:
        if isinstance(self.storage, LocalStorage):
            return read_table(self.storage.folder / self.name)
        try:
            return read_table(io.BytesIO(self.storage.read(self.name)), self.name)
        except RefusedError as refused:
            raise UserError(f"{self.name}: {refused.detail}") from None


def is_table(name: str) -> bool:
    """Whether a path or an address is one of a table of files, by its name."""
    return PurePosixPath(path_of(name)).suffix.lower() in SUFFIXES


def _group(corpus: str, uri: str) -> str:
    if not is_address(uri):
        return folder_group(corpus, uri)
    return f"{corpus}/{'/'.join(uri.partition('://')[2].split('/')[:2])}"


def _names_addresses(source: TableSource) -> bool:
    """Whether a local table names any files on the network; read anew once it has changed."""
    assert isinstance(source.storage, LocalStorage)
    path = source.storage.folder / source.name
    status = path.stat() if path.is_file() else None
    return _any_address(path, (status.st_size, status.st_mtime_ns) if status else None)


@lru_cache
def _any_address(path: Path, changed: object) -> bool:
    table = read_table(path)
    return any(is_address(uri) for uri in table[file_column(table)] if uri)


def read_table(source: Path | io.BytesIO, name: str = "") -> pl.DataFrame:
    """A table of files, every column as text; `name` says what bytes are.

    Raises UserError where it is no table or names no files.
    """
    name = name or str(source)
    try:
        if PurePosixPath(path_of(name)).suffix.lower() == ".parquet":
            table = pl.read_parquet(source).cast(pl.String, strict=False)
        else:
            table = pl.read_csv(source, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{name}: not a table of files: {str(error).splitlines()[0]}") from None
    if not set(FILE_COLUMNS) & set(table.columns):
        raise UserError(f"{name}: has no column named {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]}")
    return table


def file_column(table: pl.DataFrame) -> str:
    """The column of a table that names the files."""
    return next(name for name in FILE_COLUMNS if name in table.columns)
