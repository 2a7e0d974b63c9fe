"""What metrics are made of: the scores of a benchmark set as arrays, and which images belong to which generator.

Which images are compared belongs here, for all tables of results alike: pairing, pooling of small generators, and
generators that a detector has seen. How scores are measured belongs to `models/`, the tables to
`benchmark_metrics.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.pixel_detectors import FORMAT_RULE
from assets.score_tables import TABLE_SCORES
from assets.stage import Context

if TYPE_CHECKING:
    from models.bootstrap import Resamples

SMALL_SETS, ALL = "small_sets", "all"
SMALL = 20

Work = TypeVar("Work")
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """The images of a set that are compared for one generator, (n,); `seen`: the detector was trained on it."""

    images: Mask
    seen: bool


@dataclass(frozen=True, eq=False)
class Condition:
    """What one detector says on one track under one perturbation, of all images (n,) of a set.

    `score` is NaN where there is none, `flagged` None where the detector has no threshold.
    """

    detector: str
    detector_id: str
    track: str
    perturbation: str
    score: Floats
    flagged: Mask | None

    @property
    def scored(self) -> Mask:
        """Which images have a score."""
        return ~np.isnan(self.score)


class ScoredSet:
    """The images of a benchmark set, sorted by content, that any detector was to judge, and what each said of them.

    `images` has the columns image_id, label, generator, source, paired_real and partition.
    """

    def __init__(self, dataset: str, images: pl.DataFrame, conditions: list[Condition]) -> None:
        self.dataset, self.images, self.conditions = dataset, images, conditions
        self.labels = images["label"].to_numpy()
        self._sources = images["source"].to_numpy()
        self._members: dict[frozenset[str], dict[str, Member]] = {}

    def resampled(self, work: Iterable[tuple[Mask, Work]]) -> Iterator[tuple[Mask, "Resamples", list[Work]]]:
        """All work on the same images (n,) together, with their bootstrap draws.

        The draws are always the same for the same images. They are large: all are made once, and none is kept.
        """
        from models.bootstrap import Resamples

        def key(item: tuple[Mask, Work]) -> bytes:
            return item[0].tobytes()

        for _, alike in groupby(sorted(work, key=key), key):
            items = list(alike)
            images = items[0][0]
            yield images, Resamples(self.labels[images], self._sources[images]), [item for _, item in items]

    def members(self, seen: frozenset[str]) -> dict[str, Member]:
        """Each generator with the photographs it is compared with; the small ones together; everything.

        Generators that were seen (by name in lower case: the same one in another set is no stranger) have no part in
        `small_sets` and `all`; photographs stay. Without any small generator that was not seen there is no
        `small_sets`.
        """
        if seen not in self._members:
            self._members[seen] = dict(self._list_members(seen))
        return self._members[seen]

    def _list_members(self, seen: frozenset[str]) -> Iterator[tuple[str, Member]]:
        fakes = self.images.filter(pl.col("label") == 1)
        sizes = dict(fakes.group_by("generator").len().sort("generator").iter_rows())
        for generator in sizes:
            yield generator, Member(self._with_photographs([generator]), generator.lower() in seen)
        names = self.images["generator"].str.to_lowercase().to_numpy()
        strangers = ~((self.labels == 1) & np.isin(names, sorted(seen)))
        small = [generator for generator, size in sizes.items() if size < SMALL]
        if {generator.lower() for generator in small} - seen:
            yield SMALL_SETS, Member(self._with_photographs(small) & strangers, seen=False)
        yield ALL, Member(strangers, seen=False)

    def _with_photographs(self, generators: list[str]) -> Mask:
        fakes = (pl.col("label") == 1) & pl.col("generator").is_in(generators)
        paired = self.images.filter(fakes)["paired_real"]
        photographs = pl.col("label") == 0
        if not paired.null_count():
            wanted = sorted(set("+".join(paired.unique()).split("+")))
            photographs &= pl.col("source").str.split("+").list.set_intersection(wanted).list.len() > 0
        return self.images.select(fakes | photographs).to_series().to_numpy()


def scored_sets(context: Context, perturbation: str | None = None) -> Iterator[ScoredSet]:
    """Every registered set that was scored, one at a time; under one perturbation only, or all."""
    partitions = context.benchmark_partitions()
    for dataset in sorted({partition.partition(".")[0] for partition in partitions}):
        images = _images(context, [each for each in partitions if each.partition(".")[0] == dataset])
        if len(images):
            yield ScoredSet(dataset, images, _conditions(context, dataset, images, perturbation))


def complexity_of(context: Context, scored: ScoredSet) -> dict[tuple[str, str], Floats]:
    """Complexity of the images of a set (n,), NaN where it is not known, by track and perturbation.

    Of whichever backbone has described them: complexity is that of the pixels.
    """
    found: dict[tuple[str, str], Floats] = {}
    columns = ["track", "perturbation", "complexity"]
    for rows in _placed(context, scored.images, "benchmark_features", columns):
        known = rows.drop_nulls("complexity")
        for (track, perturbation), part in known.group_by(["track", "perturbation"], maintain_order=True):
            values = found.setdefault((str(track), str(perturbation)), np.full(len(scored.images), np.nan))
            values[part["place"].to_numpy()] = part["complexity"].to_numpy()
    return found


def _images(context: Context, partitions: list[str]) -> pl.DataFrame:
    """The images of a set that any detector was to judge. Its order is that of the bootstrap draws."""
    columns = ["image_id", "label", "generator", "source", "paired_real"]
    found = []
    for partition in partitions:
        scored = context.store.read("benchmark_scores", [partition], ["image_id"]).unique()
        own = context.store.read("benchmark_images", [partition], columns).join(scored, on="image_id", how="semi")
        found.append(own.with_columns(partition=pl.lit(partition)))
    return pl.concat(found).sort("image_id", "partition")


def _conditions(context: Context, dataset: str, images: pl.DataFrame, perturbation: str | None) -> list[Condition]:
    keys = ["detector", "detector_id", "track", "perturbation"]
    scores: dict[tuple[str, str, str, str], Floats] = {}
    flags: dict[tuple[str, str, str, str], Mask] = {}
    without_threshold = set()
    columns = [*keys, "score", "flagged"]
    by_partition = _placed(context, images, "benchmark_scores", columns)
    for rows in chain(by_partition, _placed_of_sets(context, dataset, images, columns)):
        wanted = rows if perturbation is None else rows.filter(perturbation=perturbation)
        for (detector, identity, track, name), part in wanted.group_by(keys, maintain_order=True):
            key, place = (str(detector), str(identity), str(track), str(name)), part["place"].to_numpy()
            scores.setdefault(key, np.full(len(images), np.nan))[place] = part["score"].fill_null(np.nan).to_numpy()
            flags.setdefault(key, np.zeros(len(images), dtype=bool))[place] = (
                part["flagged"].fill_null(False).to_numpy()
            )
            if part.drop_nulls("score")["flagged"].null_count():
                without_threshold.add(key)
    return [Condition(*key, scores[key], None if key in without_threshold else flags[key]) for key in sorted(scores)]


def _placed(context: Context, images: pl.DataFrame, table: str, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Rows of a table with the `place` of their image within the set, one partition at a time to bound the memory."""
    places = images.select("image_id", "partition").with_row_index("place")
    for (partition,), own in places.group_by(["partition"], maintain_order=True):
        rows = context.store.read(table, [str(partition)], ["image_id", *columns])
        yield rows.join(own.select("image_id", "place"), on="image_id").drop("image_id")


def _placed_of_sets(context: Context, dataset: str, images: pl.DataFrame, columns: list[str]) -> Iterator[pl.DataFrame]:
    """The same of scores that are made for whole sets, of which an image has one however many generators it serves."""
    places = images.select("image_id").with_row_index("place")
    for partition in (FORMAT_RULE, TABLE_SCORES):
        rows = context.store.read("benchmark_scores", [partition], ["dataset", "image_id", *columns])
        yield rows.filter(pl.col("dataset") == dataset).join(places, on="image_id").drop("dataset", "image_id")
