"""The catalogue: one DuckDB file that answers questions about the home, and the ready queries.

Building, opening and asking it belong here. What the tables mean is in `schema.py`, the SQL of the ready queries in
`queries/*.sql` (one file each, also a view of the catalogue), and what is shown of the answers in `report.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset

from warehouse.catalogue_names import PARQUET, literal, note_names
from warehouse.home import Home, UserError, atomic_path
from warehouse.schema import TABLES, Table
from warehouse.source_columns import identifiers
from warehouse.store import Store

QUERIES = Path(__file__).parent / "queries"
# The oldest storage format that DuckDB writes, so that programs of version 1.0 and later read the file.
STORAGE_VERSION = "v1.0.0"

FILES = "files"
METRICS = TABLES["benchmark_metrics"]
BEFORE = replace(
    METRICS,
    name="benchmark_metrics_before",
    description="The metrics of the last catalogue whose metrics were others than those of this one; empty: none.",
)
"""What only the catalogue holds: no stage makes it, and it is lost with the file."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COLUMN_COMMENT = re.compile(r"^--   (\w+): (.+)$", re.MULTILINE)
# DuckDB takes a process that began with `python -c`, as workers do, for a person's, and draws bars on standard output.
_NO_PROGRESS = "SET enable_progress_bar = false"
# PIVOT counts as several statements.
_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI}


class Result(NamedTuple):
    """The answer to a query: names of the columns, and the rows as Python values."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class ReadyQuery(NamedTuple):
    """A file of `queries/`: its SQL, its first line as description, and the comments of its columns."""

    description: str
    columns: dict[str, str]
    sql: str

    @classmethod
    def read(cls, path: Path) -> "ReadyQuery":
        """Parse a file: the first line is the description, `--   column: meaning` comments a column."""
        text = path.read_text(encoding="utf-8")
        sql = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        description = text.splitlines()[0].removeprefix("--").strip()
        return cls(description, dict(_COLUMN_COMMENT.findall(text)), sql.strip())


def ready_queries() -> dict[str, str]:
    """Name and one-line description of every ready query, by name."""
    return {path.stem: ReadyQuery.read(path).description for path in sorted(QUERIES.glob("*.sql"))}


def build_catalogue(home: Home, store: Store) -> None:
    """Write `catalogue.duckdb` from the tables that the manifests name now, and swap it for the one before.

    Whoever has the former file open keeps reading it; what both name is kept. Views name Parquet files relative to the
    home. The former catalogue's metrics go along as `benchmark_metrics_before` where they are others; where they are
    the same, what it had under that name does.
    """
    with atomic_path(home.catalogue) as temporary:
        # DuckDB creates its file itself and takes an empty one for damaged.
        temporary.unlink()
        with duckdb.connect(":memory:") as connection:
            connection.execute(_NO_PROGRESS)
            connection.execute(f"SET file_search_path = {literal(str(home.path))}")
            connection.execute(
                f"ATTACH {literal(str(temporary))} AS catalogue (STORAGE_VERSION {literal(STORAGE_VERSION)})"
            )
            connection.execute("USE catalogue")
            for table in TABLES.values():
                files = [path.relative_to(home.path).as_posix() for path in store.paths(table.name)]
                _add_table(connection, table, files)
            _add_former_metrics(connection, home.catalogue)
            for path in sorted(QUERIES.glob("*.sql")):
                if path.stem not in TABLES:
                    _add_view(connection, path.stem, ReadyQuery.read(path))
            # Detaching writes the log into the file and removes it, so that the file alone is the catalogue.
            connection.execute("CHECKPOINT catalogue")
            connection.execute("USE memory")
            connection.execute("DETACH catalogue")
        note_names(home, temporary)


def connect(home: Home) -> duckdb.DuckDBPyConnection:
    """Open the catalogue for reading, closed to everything else.

    SQL on this connection can neither write, nor reach any file or address, nor load extensions, nor undo that:
    DuckDB's own access to files ends once the catalogue is attached, and Parquet is read by pyarrow, from the files
    the catalogue names. So `allowed_directories` is not used: it permits COPY TO as well. The current directory does
    not matter, the home may have been moved, and a catalogue swapped meanwhile does no harm.

    Raises UserError where no catalogue has been published or where it cannot be read.
    """
    if not home.catalogue.is_file():
        raise UserError(f"nothing published yet in {home.path}: run `sdaie run`")
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "temp_directory": "",
        },
    )
    try:
        # Attached, not opened: connections of one process to one path would share the file first opened.
        connection.execute(f"ATTACH {literal(str(home.catalogue))} AS catalogue (READ_ONLY)")
        connection.execute("USE catalogue")
        _register_parquet(connection, home)
        connection.execute(_NO_PROGRESS)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET disabled_filesystems = 'LocalFileSystem'")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise UserError(f"{home.catalogue}: {_first_line(error)}") from error
    return connection


def query(home: Home, text: str) -> Result:
    """Answer a ready query, by name, or one SQL statement that reads.

    Raises UserError for an unknown name, for a statement that does anything but read, and, with the first line of
    DuckDB's own message, for SQL that it refuses.
    """
    text = text.strip()
    if _NAME.fullmatch(text):
        names = ready_queries()
        if text not in names:
            raise UserError(f"no ready query {text!r}: there are {', '.join(names)}; or pass SQL, as in 'FROM exif'")
        text = ReadyQuery.read(QUERIES / f"{text}.sql").sql
    with connect(home) as connection:
        try:
            return ask(connection, text)
        except UserError as error:
            if others := _of_another_release(connection):
                said = f"the catalogue is of another release of sdaie ({', '.join(others)})"
                raise UserError(f"{error}; {said}: `sdaie run` publishes it anew") from None
            raise


def _of_another_release(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Tables of the catalogue that have another version than those of this release, or that it lacks."""
    found = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = 'catalogue' "
        "UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'catalogue' AND NOT internal"
    ).fetchall()
    comments = dict(found)
    return [name for name, table in TABLES.items() if not (comments.get(name) or "").endswith(_version_of(table))]


def _version_of(table: Table) -> str:
    return f"Version {table.version}."


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> Result:
    """Answer one SQL statement that reads, on a connection of `connect`. Raises UserError as `query` does."""
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise UserError(f"one SQL statement at a time, not {len(statements)}")
        if statements[0].type not in _READING:
            raise UserError(f"the catalogue is for reading: {statements[0].type.name} is refused")
        cursor = connection.execute(statements[0])
        columns = [description[0] for description in cursor.description or []]
        return Result(columns, cursor.fetchall())
    except duckdb.Error as error:
        raise UserError(_first_line(error)) from error


def _add_table(connection: duckdb.DuckDBPyConnection, table: Table, files: list[str]) -> None:
    rows = f"read_parquet([{', '.join(map(literal, files))}])" if files else None
    further = _further_columns(connection, rows) if table.name == FILES and rows else {}
    _add_rows(connection, table, rows, further)


def _further_columns(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, str]:
    """A column for each name in the JSON objects of `source`, at most 100, and the SQL of its values."""
    found = connection.execute(f"SELECT DISTINCT unnest(json_keys(source)) FROM {rows}").fetchall()
    return {
        column: f"json_extract_string(source, {literal(_pointer(name))})"
        for name, column in identifiers(name for (name,) in found).items()
    }


def _pointer(name: str) -> str:
    """The JSON pointer to a member of an object."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _add_former_metrics(connection: duckdb.DuckDBPyConnection, former: Path) -> None:
    """`benchmark_metrics_before` from the catalogue that is there; empty where there is none that can be read."""
    source = None
    for table in (METRICS, BEFORE):
        rows = _former_rows(former, table.name)
        if rows is None or not _same_columns(connection, rows):
            break
        connection.register(f"former_{table.name}", rows)
        if table is BEFORE or _differs(connection, f"former_{table.name}", table.name):
            source = f"former_{table.name}"
            break
    _add_rows(connection, BEFORE, source)


def _former_rows(former: Path, table: str) -> pa.Table | None:
    """A table of another catalogue; None where it cannot be had.

    On a connection of its own: a damaged file may leave DuckDB unfit for anything else.
    """
    if not former.is_file():
        return None
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"ATTACH {literal(str(former))} AS former (READ_ONLY)")
            return connection.sql(f"FROM former.{_identifier(table)}").to_arrow_table()
    except duckdb.Error:
        return None


def _same_columns(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> bool:
    connection.register("former_rows", rows)
    columns = [
        [column[:2] for column in connection.execute(f"DESCRIBE {name}").fetchall()]
        for name in ("former_rows", METRICS.name)
    ]
    connection.unregister("former_rows")
    return columns[0] == columns[1]


def _differs(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> bool:
    found = connection.execute(
        f"SELECT EXISTS ((FROM {one} EXCEPT ALL FROM {other}) UNION ALL (FROM {other} EXCEPT ALL FROM {one}))"
    ).fetchall()
    return bool(found == [(True,)])


def _add_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, source: str | None, further: Mapping[str, str] | None = None
) -> None:
    """The table, or its view, from what SQL names; without rows where nothing is named.

    `further` are columns beside those of the schema, by name, and the SQL of their values.
    """
    further = further or {}
    name = _identifier(table.name)
    columns = ", ".join(
        [*map(_identifier, table.column_names), *(f"{sql} AS {_identifier(column)}" for column, sql in further.items())]
    )
    connection.register("typed", table.arrow.empty_table())
    if source is None:
        types = connection.execute("DESCRIBE typed").fetchall()
        nulls = ", ".join(f"CAST(NULL AS {column[1]}) AS {_identifier(column[0])}" for column in types)
        source = f"(SELECT {nulls} WHERE false)"
    if table.copied:
        order = ", ".join(map(_identifier, table.key))
        connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM {source} ORDER BY {order}")
    else:
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM {source}")
    connection.unregister("typed")
    about = f"{table.description} Key: {', '.join(table.key)}. {_version_of(table)}"
    comments = {column.name: column.comment for column in table.columns}
    comments |= dict.fromkeys(further, "what the corpus says beside the file; null where it says nothing")
    _comment(connection, "TABLE" if table.copied else "VIEW", table.name, about, comments)


def _add_view(connection: duckdb.DuckDBPyConnection, name: str, ready: ReadyQuery) -> None:
    connection.execute(f"CREATE VIEW {_identifier(name)} AS {ready.sql}")
    _comment(connection, "VIEW", name, ready.description, ready.columns)


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, about: str, columns: dict[str, str]) -> None:
    there = [row[0] for row in connection.execute(f"DESCRIBE {_identifier(name)}").fetchall()]
    if there != list(columns):
        raise ValueError(f"{name}: columns and their comments differ: {sorted(set(there) ^ set(columns))}")
    connection.execute(f"COMMENT ON {kind} {_identifier(name)} IS {literal(about)}")
    for column, comment in columns.items():
        connection.execute(f"COMMENT ON COLUMN {_identifier(name)}.{_identifier(column)} IS {literal(comment)}")


def _register_parquet(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    views = connection.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'catalogue' AND NOT internal"
    ).fetchall()
    for name, sql in views:
        files = [str(home.path / file) for file in PARQUET.findall(sql)]
        if files and name in TABLES:
            # With the schema given no file is opened before it is asked for.
            connection.register(name, pyarrow.dataset.dataset(files, schema=TABLES[name].arrow, format="parquet"))


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
