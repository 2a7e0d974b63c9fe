"""What detectors of pixels and file facts say: of reference photographs, and of every benchmark image as it may arrive.

An image is read and decoded once for all of them. Which detectors there are belongs to `pixel_detectors.py`,
thresholds and p-values to `other_detectors.py` and `benchmark_scores.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.benchmark_images import benchmark_images, set_and_generator, set_folder
from assets.binary import BINARY, binary_networks, generator_name
from assets.binary_images import binary_images
from assets.champion_before import champion_before
from assets.conditions import Conditions, reference_conditions, set_conditions
from assets.corpus import UNSEEN_FOLDS, photo_places, photos, reference_photographs, splits
from assets.decoding import decoding
from assets.pixel_detectors import PixelDetector, class_detectors, detectors_on_squares, pixel_detectors, said
from assets.square_detectors import square_detectors
from assets.stage import Context, Product, stage
from warehouse.file_facts import Facts, looking
from warehouse.home import UserError
from warehouse.places import Place, RefusedError, Source
from warehouse.reuse import EarlierShards, earlier_shards, stamped
from warehouse.shards import Quarantined, Rows, cut_shards, quarantine_partition, run_shards
from warehouse.source_folder import FolderSource
from warehouse.sources import corpus_sources, read_place

if TYPE_CHECKING:
    from models.detector import BenchmarkImage, Detector

TABLE = "pixel_scores"
REFERENCE = "reference"
NO_SCORE, TRAINED_ON = "no_score", "trained_on"

Item = tuple[Place, tuple[str, ...]]
"""Content (SHA-256), folder, corpus or set, uri below the folder, detectors that were trained on the image."""
Said = tuple[float | None, str | None]
"""A score, or the reason why there is none."""
Asked = tuple[str, str, str]
"""Detector, track, perturbation."""


def _versions(context: Context) -> list[list[str]]:
    return [[detector.name, detector.version] for detector in class_detectors(context)]


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, splits, binary_images, binary_networks],
    settings=lambda context: [reference_conditions(), _versions(context)],
    kinds=["parquet", "torch"],
    table_partition=REFERENCE,
)
def reference_pixel_scores(context: Context) -> Product:
    """Scores of the reference photographs of folds 3 and 4 by detectors of pixels that they calibrate."""
    chosen = reference_photographs(context).filter(pl.col("fold").is_in(UNSEEN_FOLDS))
    sources = corpus_sources(context.home, context.registry)
    return _scored(context, REFERENCE, pixel_detectors(context), reference_conditions(), sources, photo_places(chosen))


@stage(
    group="benchmark",
    tables=[TABLE],
    partitioned="benchmark",
    upstream=[benchmark_images, binary_images, binary_networks, square_detectors, champion_before],
    settings=lambda context: [set_conditions(context), _versions(context)],
    kinds=["parquet", "torch"],
)
def benchmark_pixel_scores(context: Context) -> Product:
    """Scores of every image on every track and perturbation by every detector of pixels."""
    dataset, _ = set_and_generator(context)
    images = context.store.read("benchmark_images", [context.partition], ["image_id", "uri"])
    pictures = [Place(image_id, dataset, uri) for image_id, uri in images.iter_rows()]
    sources = {dataset: FolderSource(set_folder(context))}
    asked = [*pixel_detectors(context), *detectors_on_squares(context)]
    return _scored(context, context.partition, asked, set_conditions(context), sources, pictures)


def _scored(
    context: Context,
    partition: str,
    detectors: Sequence[PixelDetector],
    conditions: Conditions,
    sources: Mapping[str, Source],
    pictures: Sequence[Place],
) -> Product:
    trained_on = _trained_on(context, detectors)
    items: list[Item] = [(picture, trained_on.get(picture.sha256, ())) for picture in pictures]
    settings = [conditions, [[detector.name, detector.version] for detector in detectors]]
    work = cut_shards(TABLE, items, _content, lambda item: [*item[0][:2], item[1]], settings)
    earlier = earlier_shards(context.store, TABLE, partition, "image_id", context.version, context.force)
    # The code of others may use every core from within one process, and may not bear several of it.
    ours_alone = all((detector.place or "").startswith("models.") for detector in detectors)
    rows, refused = run_shards(
        context.store,
        context.compute if ours_alone else context.here,
        TABLE,
        stamped(work, context.version),
        partial(
            score_pictures,
            ours_alone,
            context.home.path,
            sources,
            detectors,
            conditions,
            earlier,
        ),
        partition=partition,
        progress=context.progress(f"scores of {partition}"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    numbers = {"images": len(items) - quarantined, "quarantined": quarantined, "detectors": len(detectors)}
    return Product({TABLE: rows}, numbers, {quarantine_partition(TABLE, partition): refused})


def _content(item: Item) -> str:
    return item[0].sha256


def _trained_on(context: Context, detectors: Sequence[PixelDetector]) -> dict[str, tuple[str, ...]]:
    """By content, the binary detectors that were trained on it: all but those that were not to see its generator.

    A generator is known by its name, in whichever set it is, as in training.
    """
    images = context.store.read("binary_images").filter(pl.col("part") == "train")
    binary = [detector for detector in detectors if detector.family == BINARY]
    left_out = {each.name: generator_name(each.left_out) if each.left_out else None for each in binary}
    return {
        image_id: tuple(name for name, generator in left_out.items() if generator != made_by.lower())
        for image_id, made_by in images.select("image_id", "generator").iter_rows()
    }


def score_pictures(
    one_core: bool,
    home: Path,
    sources: Mapping[str, Source],
    detectors: Sequence[PixelDetector],
    conditions: Conditions,
    earlier: EarlierShards,
    items: tuple[Item, ...],
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `pixel_scores` for some images, and those that cannot be decoded; scores of earlier shards are kept.

    Raises UserError naming a detector that fails or answers something else than a score.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from models.threads import one_thread

    # Small products run ten times slower on several threads beside another process; torch of others keeps its own.
    limited = one_thread if one_core else partial(threadpool_limits, limits=1, user_api="blas")
    versions = {detector.name: detector.version for detector in detectors}
    known = _known(earlier, detectors, items)
    loaded: dict[str, Detector] = {}
    rows: Rows = []
    refused: list[Quarantined] = []
    with looking() as look, decoding() as decode:

        def read(place: Place) -> tuple[Facts, npt.NDArray[np.uint8]]:
            data = read_place(sources, place)
            return look(data), decode(data)

        for place, trained_on in items:
            image_id = place.sha256
            answers: dict[Asked, Said] = {}
            for name in versions:
                for track, perturbations in conditions:
                    for perturbation in perturbations:
                        asked = name, track, perturbation
                        if name in trained_on:
                            answers[asked] = None, TRAINED_ON
                        elif (image_id, *asked) in known:
                            answers[asked] = known[image_id, *asked]
            try:
                with limited():
                    answers.update(_answers(home, read, detectors, loaded, conditions, set(answers), place))
            except RefusedError as error:
                refused.append(Quarantined(place.source, place.uri, error.reason, error.detail, image_id))
                continue
            rows += [
                {
                    "detector": name,
                    "detector_version": versions[name],
                    "dataset": place.source,
                    "track": track,
                    "perturbation": perturbation,
                    "image_id": image_id,
                    "score": score,
                    "reason": reason,
                }
                for (name, track, perturbation), (score, reason) in answers.items()
            ]
    return rows, refused


def _known(
    earlier: EarlierShards, detectors: Sequence[PixelDetector], items: Sequence[Item]
) -> dict[tuple[str, str, str, str], Said]:
    # A champion that a newer one follows was asked under its former name, and a part under its own.
    names: dict[tuple[str, str], list[str]] = {}
    for each in detectors:
        for said_as in {each.name, each.part or each.name}:
            names.setdefault((said_as, each.version), []).append(each.name)
    asked_as, versions = zip(*names, strict=True) if names else ((), ())
    rows = earlier.rows(set(map(_content, items)), {"detector": set(asked_as), "detector_version": set(versions)})
    return {
        (row["image_id"], name, row["track"], row["perturbation"]): (row["score"], row["reason"])
        for row in rows.iter_rows(named=True)
        # What a detector was trained on is asked anew: it is no fact of image and detector.
        if row["reason"] != TRAINED_ON
        for name in names.get((row["detector"], row["detector_version"]), ())
    }


def _answers(
    home: Path,
    read: Callable[[Place], tuple[Facts, npt.NDArray[np.uint8]]],
    detectors: Sequence[PixelDetector],
    loaded: "dict[str, Detector]",
    conditions: Conditions,
    answered: set[Asked],
    place: Place,
) -> Iterator[tuple[Asked, Said]]:
    """What is not answered yet of one image. Raises RefusedError where its pixels cannot be had."""
    from models.detector import BenchmarkImage, FileFacts
    from models.perturbations import perturb
    from models.tracks import apply_track

    missing = {
        (track, perturbation): todo
        for track, perturbations in conditions
        for perturbation in perturbations
        if (todo := [each for each in detectors if (each.name, track, perturbation) not in answered])
    }
    if not missing:
        return
    seen, image = read(place)
    assert seen.width is not None  # it has pixels
    assert seen.height is not None
    facts = FileFacts(
        seen.sha256, seen.format, seen.width, seen.height, seen.size, seen.jpeg_quality, seen.chroma_subsampling
    )
    tracked = {track: apply_track(image, track) for track, _ in missing}
    for (track, perturbation), todo in missing.items():
        pixels, reason = tracked[track].image, tracked[track].reason
        if pixels is None:
            yield from (((each.name, track, perturbation), (None, reason)) for each in todo)
            continue
        shown = BenchmarkImage(perturb(pixels, perturbation, facts.image_id), facts, track, perturbation)
        for each in todo:
            if each.name not in loaded:
                loaded[each.name] = each.load(home)
            yield (each.name, track, perturbation), _ask(each.name, loaded[each.name], shown)


def _ask(name: str, detector: "Detector", image: "BenchmarkImage") -> Said:
    """One image at a time, so that no score can depend on what stands beside it."""
    where = f"{name} on {image.facts.image_id[:12]} ({image.track}, {image.perturbation})"
    try:
        answer: Any = detector.score([image])
        scores = np.asarray(answer, dtype=np.float64)
    except Exception as error:  # code of others raises what it likes
        raise UserError(f"the detector {where}: {said(error)}") from error
    if scores.shape != (1,):
        raise UserError(f"the detector {where}: scores of shape {scores.shape} for one image; (1,) is right")
    if np.isinf(scores[0]):
        raise UserError(f"the detector {where}: an infinite score; NaN says that it cannot tell")
    return (None, NO_SCORE) if np.isnan(scores[0]) else (float(scores[0]), None)
