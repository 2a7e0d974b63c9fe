"""Scores that another program has computed: a table with the columns file and score, maybe track and perturbation.

Reading and checking such a table, and finding the images that its names stand for, belong here; what becomes of the
scores, to the stages.
"""

import math
import os.path
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from warehouse.home import UserError
from warehouse.source_table import file_column, read_table

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class GivenScore:
    """One row: the line it stands in, what it names, its score; track and perturbation are None where not given."""

    line: int
    file: str
    score: float
    track: str | None
    perturbation: str | None


def read_scores(source: Path, tracks: Collection[str], perturbations: Collection[str]) -> list[GivenScore]:
    """The rows of a table of scores, in order.

    Raises UserError where it is no such table, and for the first line without a file, with a score that is no finite
    number, or with a track or a perturbation that there is not.
    """
    table = read_table(source)
    files = file_column(table)
    if "score" not in table.columns:
        raise UserError(f"{source}: has no column score; columns are {', '.join(table.columns)}")
    rows = []
    for line, row in enumerate(table.iter_rows(named=True), start=2):
        where = f"{source}: line {line}"
        if not row[files]:
            raise UserError(f"{where}: names no file")
        track, perturbation = row.get("track") or None, row.get("perturbation") or None
        for given, there in ((track, tracks), (perturbation, perturbations)):
            if given is not None and given not in there:
                raise UserError(f"{where}: {given!r} is none of {', '.join(there)}")
        rows.append(GivenScore(line, row[files], _score(where, row["score"]), track, perturbation))
    return rows


def _score(where: str, text: str | None) -> float:
    try:
        score = float(text or "")
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"{where}: the score must be a finite number, not {text or ''!r}")
    return score


@dataclass(frozen=True)
class Names:
    """The images of all sets by what a table may call them: their content, or their path."""

    by_content: Mapping[str, list[tuple[str, str]]]
    by_place: Mapping[tuple[str, str], str]
    folders: Mapping[str, Path]

    @classmethod
    def of(cls, images: Iterable[tuple[str, str, str]], folders: Mapping[str, Path]) -> "Names":
        """Names of images (set, content, uri); `folders` is where the uris of each set resolve."""
        by_content: dict[str, list[tuple[str, str]]] = {}
        by_place = {}
        for dataset, image_id, uri in images:
            by_content.setdefault(image_id, []).append((dataset, image_id))
            by_place[dataset, uri] = image_id
        return cls(by_content, by_place, folders)

    def find(self, file: str) -> list[tuple[str, str]]:
        """Set and content of the images that are meant: a SHA-256, or a path that resolves against a set's folder."""
        if _SHA256.fullmatch(file):
            return self.by_content.get(file.lower(), [])
        found = ((dataset, self._image(dataset, folder, file)) for dataset, folder in self.folders.items())
        return [(dataset, image_id) for dataset, image_id in found if image_id is not None]

    def _image(self, dataset: str, folder: Path, file: str) -> str | None:
        if (dataset, file) in self.by_place:
            return self.by_place[dataset, file]
        uri = os.path.relpath(os.path.normpath(folder / file), os.path.normpath(folder))
        return self.by_place.get((dataset, uri))
