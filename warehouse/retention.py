"""What of a home nobody needs any more, by its names and times, and how it is taken away so that a kill does no harm.

Shards that no manifest names, tables of former releases, temporary files and folders of weights belong here. Which
weights and detectors are needed beyond what the tables name belongs to `assets/cleaning.py`, what the catalogues name
to `catalogue_names.py`. A folder is renamed into `.removing` beside it before its files go, so that it is there whole
or not at all; links are somebody's own and stay.
"""

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warehouse.commits import COMMITS
from warehouse.home import DRAFT, Home, as_user_error
from warehouse.schema import TABLES
from warehouse.store import Store

DAY = 24 * 3600.0
WEEK = 7 * DAY
SEEN = "champion_photographs"
IDENTITY_COLUMNS = frozenset({"backbone", "network", "autoencoders", "detector_id", "detector_version"})
"""Columns that name a folder of weights or of a detector."""

_IDENTITY = re.compile(r"[0-9a-f]{16}")
_VERSION = re.compile(r"v([0-9]+)")
_REMOVING = ".removing"


@dataclass(frozen=True)
class Removal:
    """A file or a folder that may go: what kind of thing it is, how many files it has, and their bytes."""

    kind: str
    path: Path
    files: int
    bytes: int

    @classmethod
    def of(cls, kind: str, path: Path) -> "Removal":
        """With the sizes that its files have now; temporary files in a folder go by themselves."""
        sizes = [
            status for file in (_lasting(path) if path.is_dir() else [path]) if (status := _size(file)) is not None
        ]
        return cls(kind, path, len(sizes), sum(sizes))


def remove(removal: Removal) -> None:
    """Take it away; what is gone already is no error. Raises UserError where the home may not be written."""
    path = removal.path
    try:
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif path.name == _REMOVING:
            shutil.rmtree(path)
        else:
            aside = path.parent / _REMOVING
            aside.mkdir(exist_ok=True)
            path.rename(aside / path.name)
            shutil.rmtree(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise as_user_error(error, path) from None


def weights_folders(home: Home) -> dict[str, Path]:
    """The folders that hold one folder for each identity, by the name of what is in it."""
    return {
        "detectors": home.detectors,
        "backbones": home.backbones,
        "binary networks": home.binaries,
        "autoencoders": home.autoencoders,
        "reconstruction networks": home.reconstructions,
        "coding networks": home.codings,
    }


def left_over(home: Home) -> Iterator[Removal]:
    """What a clean-up that was killed had put aside, and temporary files older than a day of writers that were."""
    commits = list(home.tables.glob(f"*/v*/*/{COMMITS}/"))
    folders = [*weights_folders(home).values(), *home.tables.glob("*/"), *home.tables.glob("*/v*/"), *commits]
    for folder in folders:
        if (folder / _REMOVING).is_dir():
            yield Removal.of("left by a clean-up", folder / _REMOVING)
    places = [home.path, home.dagster, *home.calibrations.glob("*/"), *home.tables.glob("*/v*/*/")]
    hidden = [file for place in places for file in place.glob(f"{DRAFT}*")]
    # Weights are written under other temporary names, all hidden.
    hidden += [file for folder in weights_folders(home).values() for file in folder.glob("*/.*")]
    for file in sorted(hidden):
        if file.is_file() and not file.is_symlink() and _age(file) > DAY:
            yield Removal.of("temporary files", file)
    for folder in commits:
        for path in sorted(folder.glob(f"{DRAFT}*/")):
            if _age(path) > DAY:
                yield Removal.of("temporary files", path)


def unnamed_shards(store: Store, named: Collection[Path]) -> Iterator[Removal]:
    """Shards of this release's tables that neither their manifest nor a catalogue (`named`) names.

    They stay for a day; where the manifest is younger than a day too, since the one before it may still be read; and
    for a week where they are newer than the manifest, or there is none: a run that was killed goes on with them.
    """
    for table in TABLES.values():
        for folder in sorted((store.root / table.name / f"v{table.version}").glob("[!.]*/")):
            manifest = store.manifest(table.name, folder.name)
            written = _time(folder / "manifest.json")
            current = {shard.file for shard in manifest.shards} if manifest else set()
            for path in sorted(folder.glob("[!.]*.parquet")):
                awaited = written is None or _time_or_now(path) > written
                grace = WEEK if awaited else DAY
                if path.name in current or path in named or path.is_symlink() or _age(path) <= grace:
                    continue
                if awaited or (written is not None and time.time() - written > DAY):
                    yield Removal.of("shards", path)


def former_versions(store: Store, named: Collection[Path]) -> Iterator[Removal]:
    """Tables of a former release, a week after their last change: where this release has made its own.

    Until then they may be read to carry something over. Those of a later release stay, for whoever goes back to it.
    """
    for table in TABLES.values():
        for folder in sorted((store.root / table.name).glob("v*/")):
            version = _VERSION.fullmatch(folder.name)
            if version is None or int(version[1]) >= table.version or folder.is_symlink():
                continue
            remade = bool(store.partitions(table.name))
            if remade and not _names_below(folder, named) and time.time() - changed(folder) > WEEK:
                yield Removal.of("former versions of tables", folder)


def seen_by_the_gone(store: Store, named: Collection[Path], gone: Callable[[str], bool]) -> Iterator[Removal]:
    """Partitions of `champion_photographs`, older than a day, all of whose detectors are gone.

    First the manifest, so that the next catalogue does not name the shards; those that a catalogue names now stay, as
    do those younger than a week (`unnamed_shards`).
    """
    kind = "photographs of gone detectors"
    for partition in store.partitions(SEEN):
        shards, manifest = store.paths(SEEN, [partition]), store.folder(SEEN, partition) / "manifest.json"
        of = _values(shards, "detector_id")
        if of and all(map(gone, of)) and _age(manifest) > DAY:
            yield Removal.of(kind, manifest)
            yield from (Removal.of(kind, path) for path in shards if path not in named and _age(path) > WEEK)


def unneeded_weights(
    kind: str, folder: Path, needed: Collection[str], keep: int, last_named: float | None
) -> Iterator[Removal]:
    """Folders of an identity that is not needed, older than a day, but for the `keep` that changed last.

    What changed after a table of its kind was written last (`last_named`, seconds since 1970; None: never) is of a run
    that was killed, and that goes on with it.
    """
    there = [path for path in folder.glob("*/") if _IDENTITY.fullmatch(path.name) and not path.is_symlink()]
    by_time = sorted(((changed(path), path.name, path) for path in there), reverse=True)
    for when, name, path in sorted(by_time[keep:]):
        if name not in needed and last_named is not None and when <= last_named and time.time() - when > DAY:
            yield Removal.of(kind, path)


def identities_named(store: Store) -> set[str]:
    """Identities of detectors and weights that the tables name now."""
    found: set[str] = set()
    for table in TABLES.values():
        for column in IDENTITY_COLUMNS.intersection(table.column_names) if table.name != SEEN else ():
            found |= _values(store.paths(table.name), column)
    return found


def last_written(store: Store, table: str) -> float | None:
    """When a partition of the table was written last, in seconds since 1970; None where none was."""
    times = [_time(store.folder(table, partition) / "manifest.json") for partition in store.partitions(table)]
    return max((when for when in times if when is not None), default=None)


def changed(folder: Path) -> float:
    """When a file below a folder changed last, or, where it has none, the folder; in seconds since 1970.

    Temporary files that go by themselves do not count, nor folders beside files: their times change as files go.
    """
    return max(map(_time_or_now, list(_lasting(folder)) or [folder]))


def _values(paths: Iterable[Path], column: str) -> set[str]:
    return {
        value
        for path in paths
        for value in pl.scan_parquet(path).select(pl.col(column).unique()).collect()[column]
        if value is not None
    }


def _names_below(folder: Path, named: Collection[Path]) -> bool:
    return any(folder in path.parents for path in named)


def _lasting(folder: Path) -> Iterator[Path]:
    """Files below a folder but for temporary ones older than a day."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return (path for path in files if not path.name.startswith(".") or _age(path) <= DAY)


def _size(file: Path) -> int | None:
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return None


def _time(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return None


def _time_or_now(path: Path) -> float:
    """What went away meanwhile is in use."""
    when = _time(path)
    return time.time() if when is None else when


def _age(path: Path) -> float:
    return time.time() - _time_or_now(path)
