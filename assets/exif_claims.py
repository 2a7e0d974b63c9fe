"""EXIF against pixels: what is read from held-out photographs, and how well that tells swapped metadata.

What is learned of a claim, its calibration and the measure belong to `models/`; this module gives them photographs of
the folds that the backbone has not learned from, with their own EXIF, and keeps the result. The judgement of one
picture belongs to `claims.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.backbone import backbone, pretext_targets
from assets.camera_statistics import camera_statistics
from assets.corpus import UNSEEN_FOLDS, photos
from assets.features import trained_backbone
from assets.pretext_outputs import pretext_outputs
from assets.stage import Context, Product, stage
from warehouse.home import atomic_path
from warehouse.shards import frame

if TYPE_CHECKING:
    from models.bootstrap import Estimate
    from models.plausibility import Claimed, Outputs
    from models.swaps import Exchange, Told
    from models.tag_readers import TagReader
    from models.tag_regression import TagRegression

ANOTHER_SOURCE, SAME_CORPUS, ANOTHER_MODEL = "another_source", "same_corpus", "another_model"


def _claims_files(context: Context) -> Iterator[Path]:
    for identity in context.store.read("exif_claims", columns=["backbone"])["backbone"].unique():
        yield context.home.claims(identity)


@stage(
    group="detection",
    tables=["exif_claims"],
    upstream=[photos, pretext_targets, backbone, camera_statistics, pretext_outputs],
    kinds=["safetensors"],
    files=_claims_files,
)
def exif_claims(context: Context) -> Product:
    """How well the pixels tell a photograph's own EXIF from another's, on held-out sources; and what judges a picture.

    By a regression on statistics and by the heads of the trained backbone, cross-fitted by source; what tells it better
    judges pictures. Nothing is learned where fewer than two sources are held out.
    """
    from models.claims import calibrate
    from models.swaps import JOINT, cross_fitted, exchange, halves, told

    readings = held_out_readings(context)
    photographs = len(readings[0].rows)
    if readings[0].rows["group"].n_unique() < 2:
        return Product({"exif_claims": frame("exif_claims", [])}, {"photographs": photographs})
    identity, _ = trained_backbone(context)
    table: list[dict[str, Any]] = []
    aurocs: list[Mapping[str, Estimate]] = []
    for reading in readings:
        groups = reading.rows["group"].to_numpy()
        parts = halves(reading.outputs, reading.claimed, groups)
        own = cross_fitted(parts, reading.outputs, reading.claimed)
        exchanged = exchange(parts, reading.outputs, reading.claimed, groups)
        measured = {
            kind: told(exchanged, own, groups, chosen) for kind, chosen in strata(reading.rows, exchanged).items()
        }
        aurocs.append({tag: found.auroc for tag, found in measured[ANOTHER_SOURCE].items()})
        table += _rows(identity, reading.reader.kind, measured, own)
    joint = [each[JOINT].value or 0.0 for each in aurocs]
    best = joint.index(max(joint))
    judge = readings[best]
    claims = calibrate(judge.reader, judge.outputs, judge.claimed, judge.rows["group"].to_numpy(), aurocs[best])
    with atomic_path(context.home.claims(identity)) as temporary:
        temporary.write_bytes(claims.to_bytes())
    for row in table:
        row["judges"] = row["read_by"] == judge.reader.kind
    numbers = {
        f"auroc_{reading.reader.kind}_{tag}": round(found.value, 4)
        for reading, by_tag in zip(readings, aurocs, strict=True)
        for tag, found in by_tag.items()
        if found.value is not None
    }
    return Product(
        {"exif_claims": frame("exif_claims", table)},
        {"photographs": photographs, "judged_by": judge.reader.kind, **numbers},
    )


@dataclass(frozen=True, eq=False)
class Reading:
    """Held-out photographs, what a reader of tags says of them, and what their EXIF claims.

    `rows` have photo_id, group, corpus and tags.
    """

    rows: pl.DataFrame
    reader: "TagReader"
    outputs: "Outputs"
    claimed: "Claimed"


def held_out_readings(context: Context) -> list[Reading]:
    """By a regression that learned from the other photographs, then, where they have names, by the pretext heads."""
    from models.tag_readers import HeadsReader, StatisticsReader
    from models.threads import one_thread
    from models.weights import load_backbone

    corpora = context.store.read("photos", columns=["photo_id", "corpus"])
    described = context.store.read("pretext_targets").join(context.store.read("camera_statistics"), on="photo_id")
    described = described.join(corpora, on="photo_id").sort("photo_id")
    unseen = pl.col("fold").is_in(UNSEEN_FOLDS)
    held_out, learned_from = described.filter(unseen), described.filter(~unseen)
    # With one thread the file of claims has the same bytes on any number of cores.
    with one_thread():
        regression = fitted(learned_from)
        outputs = regression.outputs(statistics_of(held_out))
    readings = [_reading(StatisticsReader(regression), held_out, outputs)]
    said = context.store.read("pretext_outputs", columns=["photo_id", "outputs"])
    if len(said):
        rows = held_out.join(said, on="photo_id").sort("photo_id")
        reader = HeadsReader.of(load_backbone(trained_backbone(context)[1]))
        readings.append(_reading(reader, rows, np.stack(rows["outputs"].to_list())))
    return readings


def fitted(rows: pl.DataFrame) -> "TagRegression":
    """The regression of tags on statistics that rows of `pretext_targets` with `camera_statistics` teach."""
    from models.plausibility import Claimed
    from models.pretext import CATEGORICAL, Vocabulary
    from models.tag_regression import fit_tags

    vocabulary = Vocabulary.of({tag: rows[tag].to_list() for tag in CATEGORICAL})
    claimed = Claimed.of(rows.select(pl.exclude("statistics")).to_dicts(), vocabulary)
    return fit_tags(statistics_of(rows), claimed, rows["group"].to_numpy(), vocabulary)


def statistics_of(rows: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Statistics (n, 1014) of rows of `camera_statistics`."""
    from models.camera_statistics import COUNT

    return np.array(rows["statistics"].to_list(), dtype=np.float64).reshape(len(rows), COUNT)


def _reading(reader: "TagReader", rows: pl.DataFrame, outputs: npt.NDArray[Any]) -> Reading:
    from models.plausibility import Claimed
    from models.tag_regression import split_outputs

    rows = rows.select(pl.exclude("statistics", "squares", "outputs"))
    claimed = Claimed.of(rows.to_dicts(), reader.vocabulary)
    return Reading(rows, reader, split_outputs(outputs, reader.vocabulary), claimed)


def _rows(
    identity: str, read_by: str, measured: "Mapping[str, Mapping[str, Told]]", own: npt.NDArray[np.float64]
) -> Iterator[dict[str, Any]]:
    from models.swaps import NAMES

    quantiles = {tag: _quantiles(own[:, column]) for column, tag in enumerate(NAMES)}
    for swapped_with, by_tag in measured.items():
        for tag, found in by_tag.items():
            yield {
                "backbone": identity,
                "read_by": read_by,
                "tag": tag,
                "swapped_with": swapped_with,
                "photographs": found.photographs,
                "sources": found.sources,
                "pairs": found.pairs,
                "auroc": found.auroc.value,
                "auroc_low": found.auroc.low,
                "auroc_high": found.auroc.high,
                "found_at_5": found.found,
                **quantiles[tag],
            }


def strata(rows: pl.DataFrame, exchanged: "Exchange") -> Mapping[str, npt.NDArray[np.bool_]]:
    """Which pairs of photographs belong to each kind of swap; a model that is not known is not another one."""
    first, second = rows[exchanged.first], rows[exchanged.second]
    return {
        ANOTHER_SOURCE: np.ones(len(first), dtype=np.bool_),
        SAME_CORPUS: (first["corpus"] == second["corpus"]).to_numpy(),
        ANOTHER_MODEL: (first["model"] != second["model"]).fill_null(value=False).to_numpy(),
    }


def _quantiles(scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    known = scores[~np.isnan(scores)]
    names = ("own_05", "own_50", "own_95")
    if not known.size:
        return dict.fromkeys(names)
    return dict(zip(names, np.quantile(known, (0.05, 0.5, 0.95)).tolist(), strict=True))
