"""Detectors that are known by a table of scores: which are registered, and what they say of the benchmark images.

How such a table is read belongs to `warehouse/score_tables.py`, how scores are measured to `benchmark_metrics.py`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from assets.benchmark_images import benchmark_images, folder_of
from assets.conditions import evaluated_images, evaluated_sets
from assets.pixel_scores import NO_SCORE
from assets.stage import Context, Product, stage
from warehouse.home import UserError, digest
from warehouse.registry import resolve
from warehouse.score_tables import GivenScore, Names, read_scores
from warehouse.shards import Rows, frame

TABLE_SCORES = "table_scores"


@dataclass(frozen=True)
class ScoreTable:
    """A registered table of scores: the detector's name, the file, and the SHA-256 of its bytes."""

    name: str
    path: Path
    sha256: str
    rows: tuple[GivenScore, ...]

    @property
    def identity(self) -> str:
        """What `detector_id` is of a detector that is nothing but its scores."""
        return digest([self.name, self.sha256])

    @property
    def file(self) -> str:
        """The name of the file without its folder, which is the machine's own."""
        return self.path.name

    @property
    def tracks(self) -> list[str]:
        """The tracks it has scores for; a row without one is as shipped."""
        from models.tracks import AS_SHIPPED

        return sorted({row.track or AS_SHIPPED for row in self.rows})


def score_tables(context: Context) -> list[ScoreTable]:
    """Every registered table of scores. Raises UserError naming the first that cannot be read or understood."""
    from models.perturbations import WHOLE_GRID
    from models.tracks import IN_THE_WILD, TRACKS

    tables = []
    for name, other in context.registry.detectors.items():
        if other.scores is None:
            continue
        path = resolve(context.home, other.scores)
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"[detectors.{name}] scores = {other.scores!r}: {error.strerror}") from None
        rows = read_scores(path, (*TRACKS, IN_THE_WILD), WHOLE_GRID)
        tables.append(ScoreTable(name, path, sha256, tuple(rows)))
    return tables


def _settings(context: Context) -> object:
    wild = {name: context.registry.datasets[name].wild for name in evaluated_sets(context)}
    return [wild, [[table.name, table.sha256] for table in score_tables(context)]]


@stage(
    group="benchmark",
    tables=["benchmark_scores"],
    upstream=[benchmark_images],
    settings=_settings,
    table_partition=TABLE_SCORES,
)
def table_scores(context: Context) -> Product:
    """What registered tables of scores say of the images of all sets; an image that one leaves out has no score."""
    images = evaluated_images(context)
    folders = {
        name: folder_of(resolve(context.home, dataset.source)) for name, dataset in context.registry.datasets.items()
    }
    names = Names.of(images.select("dataset", "image_id", "uri").iter_rows(), folders)
    rows: Rows = []
    for table in score_tables(context) if len(images) else ():
        rows += _rows(context, table, images, names)
    return Product(
        {"benchmark_scores": frame("benchmark_scores", rows)}, {"scored": sum(r["reason"] is None for r in rows)}
    )


def _rows(context: Context, table: ScoreTable, images: pl.DataFrame, names: Names) -> Rows:
    """Rows for the sets that the table knows an image of, in each track and perturbation that it has of them."""
    from models.perturbations import NONE
    from models.tracks import tracks_of

    tracks = {name: tracks_of(dataset.wild) for name, dataset in context.registry.datasets.items()}
    given: dict[tuple[str, str, str, str], GivenScore] = {}
    unknown = set()
    for row in table.rows:
        found = names.find(row.file)
        if not found:
            unknown.add(row.file)
        for dataset, image_id in found:
            where = f"{table.path}: line {row.line}"
            track = row.track or tracks[dataset][0]
            if track not in tracks[dataset]:
                raise UserError(f"{where}: the set {dataset} has the tracks {', '.join(tracks[dataset])}, not {track}")
            before = given.setdefault((dataset, track, row.perturbation or NONE, image_id), row)
            if before is not row:
                raise UserError(f"{where}: the image has a score in line {before.line} already")
    named = len({row.file for row in table.rows})
    if not given:
        raise UserError(f"[detectors.{table.name}]: none of the {named} names in {table.path} is an image of a set")
    if unknown:
        context.say(f"{table.name}: {len(unknown)} of {named} names in {table.file} match no image of any set")
    return [
        {
            "detector": table.name,
            "dataset": dataset,
            "image_id": image_id,
            "track": track,
            "perturbation": perturbation,
            "detector_id": table.identity,
            "generator": generator,
            "label": label,
            "score": score.score if score else None,
            "p_value": None,
            "flagged": None,
            "reason": None if score else NO_SCORE,
        }
        for dataset, track, perturbation in sorted({key[:3] for key in given})
        for image_id, generator, label in images.filter(pl.col("dataset") == dataset)
        .select("image_id", "generator", "label")
        .iter_rows()
        for score in [given.get((dataset, track, perturbation, image_id))]
    ]
