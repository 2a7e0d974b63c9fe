"""Pictures that a table names: CSV or Parquet with a column of files, beside which they lie.

Reading such a table belongs here; what becomes of its groups and further columns to the stages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warehouse.home import UserError
from warehouse.places import Listed, RefusedError
from warehouse.source_folder import checked_path, folder_group, look_at, read_bytes

FILE_COLUMNS = ("file", "uri", "url")


@dataclass(frozen=True)
class TableSource:
    """The files a table names, relative to its folder. The group is a column's value, else as in a folder."""

    table: Path
    corpus: str = ""
    group: str | None = None
    concurrency: int = 1

    def listing(self) -> list[Listed]:
        """All files the table names, each once; further columns go with them."""
        table = read_table(self.table)
        if self.group is not None and self.group not in table.columns:
            raise UserError(f"{self.table}: has no column {self.group!r}; columns are {', '.join(table.columns)}")
        uris = table[file_column(table)]
        groups = table[self.group] if self.group is not None else pl.Series([None] * len(table), dtype=pl.String)
        named = {uri: value for uri, value in zip(uris, groups, strict=True) if uri}
        return [look_at(self.table.parent, uri, named[uri] or folder_group(self.corpus, uri)) for uri in sorted(named)]

    def read(self, uri: str, span: str | None = None) -> bytes:
        """The bytes of a file the table names."""
        return read_bytes(self.table.parent, uri)

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        """Tables hold no containers."""
        raise UserError(f"{container.uri}: not a tar shard")

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        """Where the file lies."""
        return checked_path(self.table.parent, uri)


def read_table(source: Path) -> pl.DataFrame:
    """A table of files, every column as text. Raises UserError where it is no table or names no files."""
    try:
        if source.suffix.lower() == ".parquet":
            table = pl.read_parquet(source).cast(pl.String, strict=False)
        else:
            table = pl.read_csv(source, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{source}: not a table of files: {str(error).splitlines()[0]}") from None
    if not set(FILE_COLUMNS) & set(table.columns):
        raise UserError(f"{source}: has no column named {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]}")
    return table


def file_column(table: pl.DataFrame) -> str:
    """The column of a table that names the files."""
    return next(name for name in FILE_COLUMNS if name in table.columns)
