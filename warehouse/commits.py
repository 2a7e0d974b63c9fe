"""Who replaces the manifests of a partition next: its commits, numbered, each had by one writer alone.

    .commits/000007/                                  the seventh commit is decided, for whoever put this folder there
    .commits/000007/<table>+v<version>+<partition>    one of its manifests, until it is moved to where readers look

Taking a number and moving its manifests to their places belong here; what they say belongs to `store.py`. Writers may
be processes of several machines, held up or killed at any moment. All that is asked of the file system is that a file
or a folder is renamed whole or not at all, and not onto a folder that has files in it. That is enough:

- A number is had once. Its folder is prepared under a name of its own and then renamed to the number; it is never
  empty, since a file that says whose it is stays in it.
- Nothing goes back. A manifest is moved to its place, which can happen once, whoever does it, and a number is asked for
  when the manifests of the one before have been moved. A writer that slept meanwhile finds nothing to move.
- Nobody waits for the dead. Whoever comes next moves what a killed writer had decided.
- Old numbers may go, the newest stays. A writer so late that its number has gone meanwhile, and could be had again,
  sees a newer one beside it, and its own manifests that nobody moved; it gives up.
"""

import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from warehouse.home import DRAFT, UserError, flush_folder, writing

MANIFEST = "manifest.json"
COMMITS = ".commits"
# The last is the answer to a request that the network repeated: the folder was renamed already.
_NOT_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}


def newest(folder: Path) -> int:
    """The number of the newest commit of a partition, by its folder; 0 where there is none.

    Its manifests are where readers look from then on, also where its writer was killed before it had moved them.
    """
    number = max(_numbers(folder), default=0)
    if number:
        with writing(folder):
            _move(folder, number)
    return number


def replace(folder: Path, manifests: Mapping[Path, str], now: int, after: int | None) -> bool:
    """Put new texts of manifests, by the folders of their partitions, where readers look; that of `folder` comes last.

    `now` is what `newest` said. Whether anything was to be replaced: not where all is there already, in the same words.
    Raises UserError, and changes nothing, where another writer has committed since `now`, or since the number `after`;
    and where the disk is full or writing is not allowed.
    """
    if _are(manifests):
        return False
    if after in (None, now) and _decided(folder, now + 1, manifests):
        return True
    # The other may have decided the same, and not be done with it.
    newest(folder)
    if not _are(manifests):
        raise UserError(
            f"table {folder.parts[-3]}, partition {folder.name}: another run has written it since this one began, and "
            "the table is that of the other; the shards finished here are kept: run again when the other has ended"
        )
    return False


def forget(folder: Path, before: float) -> None:
    """Remove commits that others followed, and drafts of killed writers, that changed last before a time (mtime)."""
    last = _commit(folder, max(_numbers(folder), default=0))
    for path in (folder / COMMITS).glob("*/"):
        with suppress(FileNotFoundError):
            if path != last and path.stat().st_mtime < before:
                shutil.rmtree(path, ignore_errors=True)


def _decided(folder: Path, number: int, manifests: Mapping[Path, str]) -> bool:
    """Whether the number, the one after the newest, was had for these manifests; else nothing has changed."""
    with writing(folder):
        commit, draft = _commit(folder, number), folder / COMMITS / f"{DRAFT}{uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            mine = draft / f".{uuid4().hex}"
            mine.touch()
            for each, text in manifests.items():
                _write(draft / _name(each), text)
            flush_folder(draft)
            try:
                draft.rename(commit)
            except OSError as error:
                if error.errno not in _NOT_TAKEN:
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if not (commit / mine.name).exists():
            return False
        if max(_numbers(folder)) > number and (commit / _name(folder)).exists():
            shutil.rmtree(commit)
            return False
        _move(folder, number)
        return True


def _move(folder: Path, number: int) -> None:
    commit, own = _commit(folder, number), _name(folder)
    names = [name for name in _names(commit) if not name.startswith(".")]
    # Whoever sees the partition's own manifest moved may take it that the others were.
    for name in sorted(names, key=lambda name: name == own):
        place = folder.parents[2].joinpath(*name.split("+"))
        place.mkdir(parents=True, exist_ok=True)
        try:
            (commit / name).replace(place / MANIFEST)
        except FileNotFoundError:
            continue  # moved by another meanwhile
        flush_folder(place)


def _numbers(folder: Path) -> list[int]:
    return [int(name) for name in _names(folder / COMMITS) if name.isdecimal()]


def _names(folder: Path) -> list[str]:
    """What is in a folder; nothing where another has just removed it."""
    try:
        return os.listdir(folder)  # noqa: PTH208 (half the time of iterdir)
    except FileNotFoundError:
        return []


def _commit(folder: Path, number: int) -> Path:
    return folder / COMMITS / f"{number:06d}"


def _name(folder: Path) -> str:
    return "+".join(folder.parts[-3:])


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _are(manifests: Mapping[Path, str]) -> bool:
    """Whether manifests, by the folders of their partitions, say this already."""

    def said(folder: Path) -> str:
        try:
            return (folder / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    return all(said(folder) == text for folder, text in manifests.items())
