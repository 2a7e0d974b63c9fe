"""What metrics are made of: the scores of a benchmark set as arrays, and which images belong to which generator.

Which images are compared belongs here, for all tables of results alike: pairing, pooling of small generators, and
generators that a detector has seen. How scores are measured belongs to `models/`, the tables to
`benchmark_metrics.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

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

    `images` has the columns image_id, label, generator, source and paired_real; `partitions` are those of the set.
    """

    def __init__(
        self, dataset: str, images: pl.DataFrame, conditions: list[Condition], partitions: tuple[str, ...] = ()
    ) -> None:
        self.dataset, self.images, self.conditions, self.partitions = dataset, images, conditions, partitions
        self.labels = images["label"].to_numpy()
        self._sources = images["source"].to_numpy()
        self._members: dict[frozenset[str], dict[str, Member]] = {}

    def resampled(self, work: Iterable[tuple[Mask, Work]]) -> Iterator[tuple[Mask, "Resamples", Work]]:
        """Work on some of the images (n,) each, with their bootstrap draws: always the same for the same images.

        In an order in which draws, which are large, are made once and need not be kept.
        """
        from models.bootstrap import Resamples

        def key(item: tuple[Mask, Work]) -> bytes:
            return item[0].tobytes()

        for _, alike in groupby(sorted(work, key=key), key):
            items = list(alike)
            images = items[0][0]
            drawn = Resamples(self.labels[images], self._sources[images])
            for _, item in items:
                yield images, drawn, item

    def members(self, seen: frozenset[str]) -> dict[str, Member]:
        """Each generator with the photographs it is compared with; the small ones together; everything.

        Generators that were seen (by name: the same one in another set is no stranger) have no part in `small_sets`
        and `all`; photographs stay. Without any small generator that was not seen there is no `small_sets`.
        """
        if seen not in self._members:
            self._members[seen] = dict(self._list_members(seen))
        return self._members[seen]

    def _list_members(self, seen: frozenset[str]) -> Iterator[tuple[str, Member]]:
        fakes = self.images.filter(pl.col("label") == 1)
        sizes = dict(fakes.group_by("generator").len().sort("generator").iter_rows())
        for generator in sizes:
            yield generator, Member(self._with_photographs([generator]), generator in seen)
        strangers = ~((self.labels == 1) & np.isin(self.images["generator"].to_numpy(), sorted(seen)))
        small = [generator for generator, size in sizes.items() if size < SMALL]
        if set(small) - seen:
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
        own = [partition for partition in partitions if partition.partition(".")[0] == dataset]
        scores = context.store.read(
            "benchmark_scores",
            own,
            ["image_id", "track", "perturbation", "detector", "detector_id", "score", "flagged"],
        ).filter(True if perturbation is None else pl.col("perturbation") == perturbation)
        images = (
            context.store.read("benchmark_images", own, ["image_id", "label", "generator", "source", "paired_real"])
            .join(scores.select("image_id").unique(), on="image_id", how="semi")
            .sort("image_id")
        )
        if len(images):
            yield ScoredSet(dataset, images, _conditions(images, scores), tuple(own))


def complexity_of(context: Context, scored: ScoredSet) -> dict[tuple[str, str], Floats]:
    """Complexity of the images of a set (n,), NaN where it is not known, by track and perturbation.

    Of whichever backbone has described them: complexity is that of the pixels.
    """
    columns = ["image_id", "track", "perturbation", "complexity"]
    features = context.store.read("benchmark_features", scored.partitions, columns)
    found = {}
    for key, known in _by(["track", "perturbation"], scored.images, features.drop_nulls("complexity")):
        values = np.full(len(scored.images), np.nan)
        values[known["place"].to_numpy()] = known["complexity"].to_numpy()
        found[key[0], key[1]] = values
    return found


def _conditions(images: pl.DataFrame, scores: pl.DataFrame) -> list[Condition]:
    keys = ["detector", "detector_id", "track", "perturbation"]
    conditions = []
    for (detector, detector_id, track, perturbation), said in _by(keys, images, scores):
        score, flagged = np.full(len(images), np.nan), np.zeros(len(images), dtype=bool)
        place = said["place"].to_numpy()
        score[place] = said["score"].fill_null(np.nan).to_numpy()
        flagged[place] = said["flagged"].fill_null(False).to_numpy()
        unknown = said.filter(pl.col("score").is_not_null())["flagged"].null_count() > 0
        conditions.append(Condition(detector, detector_id, track, perturbation, score, None if unknown else flagged))
    return conditions


def _by(keys: list[str], images: pl.DataFrame, rows: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    places = images.select("image_id").with_row_index("place")
    for key, part in rows.join(places, on="image_id").sort(keys).group_by(keys, maintain_order=True):
        yield tuple(str(value) for value in key), part
