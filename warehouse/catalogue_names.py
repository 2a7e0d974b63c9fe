"""What the catalogue and the one before it name: Parquet files of their views, and identities of detectors and weights.

Whoever has opened the former catalogue goes on reading it after another took its place, so a clean-up leaves both
what they name. Reading names from a catalogue and keeping those of two belong here; how a catalogue is built belongs
to `catalogue.py`, what is removed to `retention.py`.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.home import Home, UserError, write_text
from warehouse.retention import IDENTITY_COLUMNS

PARQUET = re.compile(r"'(tables/[^']+\.parquet)'")


@dataclass(frozen=True)
class Names:
    """Files, relative to the home, and identities of 16 digits."""

    files: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()

    def __or__(self, other: "Names") -> "Names":
        return Names(self.files | other.files, self.identities | other.identities)


def names_of(catalogue: Path) -> Names:
    """What a catalogue names; nothing where there is none that can be read.

    On a connection of its own: a damaged file may leave DuckDB unfit for anything else.
    """
    if not catalogue.is_file():
        return Names()
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"ATTACH {literal(str(catalogue))} AS catalogue (READ_ONLY)")
            views = connection.execute(
                "SELECT sql FROM duckdb_views() WHERE database_name = 'catalogue' AND NOT internal"
            ).fetchall()
            columns = connection.execute(
                "SELECT c.table_name, c.column_name FROM duckdb_columns() c JOIN duckdb_tables() t "
                "ON c.database_oid = t.database_oid AND c.table_oid = t.table_oid WHERE c.database_name = 'catalogue' "
                f"AND c.column_name IN ({', '.join(map(literal, sorted(IDENTITY_COLUMNS)))})"
            ).fetchall()
            found: set[str] = set()
            for table, column in columns:
                rows = connection.execute(f'SELECT DISTINCT "{column}" FROM catalogue."{table}"').fetchall()
                found |= {identity for (identity,) in rows if identity is not None}
    except duckdb.Error:
        return Names()
    return Names(frozenset(file for (sql,) in views for file in PARQUET.findall(sql)), frozenset(found))


def note_names(home: Home, fresh: Path) -> None:
    """Keep what a catalogue that is about to take the place of the one in the home names, and what that one does.

    Written before the swap, so that both are known whenever this is killed. Publishing the same again leaves the
    names of the one before. The file is a history: it tells what was published before, so it is no part of what a
    repeated run makes byte for byte. Raises UserError where the home cannot be written, or
    that file is damaged.
    """
    new, there = names_of(fresh), names_of(home.catalogue)
    document = {"current": _as_json(new), "previous": _as_json(_kept(home)["previous"] if there == new else there)}
    write_text(home.catalogue_names, json.dumps(document, indent=1, sort_keys=True) + "\n")


def names_in_use(home: Home) -> Names:
    """What the catalogue in the home and the one before it name. Raises UserError where their file is damaged."""
    kept = _kept(home)
    return names_of(home.catalogue) | kept["current"] | kept["previous"]


def _kept(home: Home) -> dict[str, Names]:
    try:
        document = json.loads(home.catalogue_names.read_text(encoding="utf-8"))
        return {
            which: Names(frozenset(document[which]["files"]), frozenset(document[which]["identities"]))
            for which in ("current", "previous")
        }
    except FileNotFoundError:
        return {"current": Names(), "previous": Names()}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{home.catalogue_names} is damaged ({error}): remove it, `sdaie run` writes it anew") from None


def _as_json(names: Names) -> dict[str, list[str]]:
    return {"files": sorted(names.files), "identities": sorted(names.identities)}


def literal(text: str) -> str:
    """Text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
