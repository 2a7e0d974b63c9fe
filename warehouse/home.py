"""The home: the one folder that holds everything a user makes, and where each thing lies in it.

Paths and the atomic writing of single files belong here; the tables inside belong to `store.py`, what is registered to
`registry.py`.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

PROJECT = Path(__file__).resolve().parent.parent
DRAFT = ".writing-"
"""How the names of drafts begin: files, and folders, that are not in their place yet."""

_NO_ROOM = "free some space"
_NO_WAY_IN = "give permission to write there, or use another home"
_MENDED = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: "allow larger files (`ulimit -f`)",
    errno.EROFS: _NO_WAY_IN,
    errno.EACCES: _NO_WAY_IN,
    errno.EPERM: _NO_WAY_IN,
}


class UserError(Exception):
    """Something the user can mend: one line that says what is wrong and what to do."""


def as_user_error(error: OSError, target: Path | str) -> Exception:
    """What to raise where `target` could not be written: a UserError where a user can mend it, else the error."""
    if error.errno not in _MENDED:
        return error
    said = os.strerror(error.errno)
    return UserError(f"{target} cannot be written: {said}: {_MENDED[error.errno]}, and run it again")


@dataclass(frozen=True)
class Home:
    """The folder of one user or team. It can be moved; nothing in its tables names a path of the machine."""

    path: Path

    @classmethod
    def find(cls, option: Path | None = None) -> "Home":
        """The home: `option`, else `SDAIE_HOME`, else `data/` beside `workspace.yaml`.

        Raises UserError where none of the three is there.
        """
        if option is not None:
            return cls(option.absolute())
        if variable := os.environ.get("SDAIE_HOME"):
            return cls(Path(variable).absolute())
        if (PROJECT / "workspace.yaml").is_file():
            return cls(PROJECT / "data")
        raise UserError("no home: pass --home DIR or set SDAIE_HOME")

    @property
    def registry(self) -> Path:
        """The registry of corpora and benchmark sets."""
        return self.path / "sdaie.toml"

    @property
    def tables(self) -> Path:
        """The Parquet tables."""
        return self.path / "tables"

    @property
    def backbones(self) -> Path:
        """A folder for each backbone, named by its identity."""
        return self.path / "backbones"

    def claims(self, backbone: str) -> Path:
        """What judges claims of EXIF by a backbone."""
        return self.backbones / backbone / "claims.safetensors"

    @property
    def binaries(self) -> Path:
        """A folder for each trained binary detector, named by its identity."""
        return self.path / "binaries"

    @property
    def autoencoders(self) -> Path:
        """A folder for each set of trained autoencoders, named by its identity."""
        return self.path / "autoencoders"

    @property
    def reconstructions(self) -> Path:
        """A folder for each network that tells photographs from reconstructions, named by its identity."""
        return self.path / "reconstructions"

    @property
    def codings(self) -> Path:
        """A folder for each network that predicts JPEG's coefficients, named by its identity."""
        return self.path / "codings"

    @property
    def detectors(self) -> Path:
        """A folder for each fitted detector, named by its identity."""
        return self.path / "detectors"

    def detector_file(self, identity: str) -> Path:
        """The file of a detector on squares."""
        return self.detectors / identity / "detector.safetensors"

    @property
    def champion(self) -> Path:
        """The pointer to the detector that answers `sdaie detect`."""
        return self.path / "champion.json"

    @property
    def calibrations(self) -> Path:
        """A folder for each calibration of one's own, by its name."""
        return self.path / "calibrations"

    @property
    def failures(self) -> Path:
        """The history of failed runs, one line each."""
        return self.path / "failures.jsonl"

    @property
    def catalogue(self) -> Path:
        """The DuckDB file."""
        return self.path / "catalogue.duckdb"

    @property
    def catalogue_names(self) -> Path:
        """What the catalogue and the one before it name, for the clean-up to leave there."""
        return self.path / "catalogue.names.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def dagster(self) -> Path:
        """Dagster's own instance folder: run history, event logs, `dagster.yaml`."""
        return self.path / "dagster"

    @property
    def simulated(self) -> Path:
        """The rendered corpus and benchmark of the demo."""
        return self.path / "simulated"


@contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Raise UserError where a disk is full or writing is not allowed; `target` is what could not be written."""
    try:
        yield
    except OSError as error:
        raise as_user_error(error, target) from None


@contextmanager
def draft_path(folder: Path, suffix: str = "") -> Iterator[Path]:
    """A temporary path in a folder, of this writer alone; unless it is put in a place, nothing is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=DRAFT, suffix=suffix, delete=False) as file:
        draft = Path(file.name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(draft: Path, target: Path) -> None:
    """Flush a finished draft to disk and rename it to `target`, in the same folder."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    draft.chmod(0o644)
    draft.replace(target)
    flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` to write to; on leaving it is flushed to disk and renamed to `target`.

    Whoever reads `target` sees the old file or the new one, never a part. On an exception nothing is left behind.
    Raises UserError where the disk is full or writing is not allowed.
    """
    with writing(target), draft_path(target.parent, target.suffix) as draft:
        yield draft
        put_in_place(draft, target)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def canonical_json(value: object) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: object) -> str:
    """Sixteen hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
