"""EXIF against pixels: what the pretext heads say of held-out photographs, and how well that tells swapped metadata.

What is learned of a claim, its calibration and the measure belong to `models/`; this module gives them photographs of
the folds that the backbone has not learned from, with their own EXIF, and keeps the result. The judgement of one
picture belongs to `claims.py`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.backbone import backbone, imported_identity, pretext_targets
from assets.corpus import UNSEEN_FOLDS, photo_places, photos
from assets.features import loaded_backbone, trained_backbone
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.home import atomic_path
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows, cut_shards, frame, run_shards
from warehouse.sources import corpus_sources

if TYPE_CHECKING:
    from models.plausibility import Claimed, Outputs
    from models.swaps import Exchange
    from models.weights import LoadedBackbone

ANOTHER_SOURCE, SAME_CORPUS, ANOTHER_MODEL = "another_source", "same_corpus", "another_model"


def _asked(context: Context) -> pl.DataFrame:
    """Rows of `pretext_targets` of held-out photographs; none where the heads have no names, and cannot be asked."""
    targets = context.store.read("pretext_targets")
    return targets.clear() if imported_identity(context) else targets.filter(pl.col("fold").is_in(UNSEEN_FOLDS))


@stage(
    group="detection",
    tables=["pretext_outputs"],
    upstream=[photos, pretext_targets, backbone],
    kinds=["parquet", "torch"],
)
def pretext_outputs(context: Context) -> Product:
    """What the heads of the trained backbone say of each training photograph that was held out, as shipped.

    Those of an imported backbone have no names and are not asked.
    """
    rows = context.store.read("photos").join(_asked(context).select("photo_id"), on="photo_id", how="semi")
    _, weights = trained_backbone(context)
    items = photo_places(rows)
    compute = context.compute.networks()
    made, refused = run_shards(
        context.store,
        compute,
        "pretext_outputs",
        cut_shards("pretext_outputs", items, lambda place: place.sha256, list, [context.version, weights.parent.name]),
        partial(ask_heads, weights, corpus_sources(context.home, context.registry), compute.cores_each),
        progress=context.progress("asked the heads of held-out photographs"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    numbers = {"photographs": len(items) - quarantined, "quarantined": quarantined}
    return Product({"pretext_outputs": made}, numbers, {"pretext_outputs": refused})


def ask_heads(
    weights: Path, sources: dict[str, Source], decoders: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `pretext_outputs` for some photographs, and those whose pixels cannot be had or that are too small."""
    from models.claims import TooSmallError, claim_patches, head_outputs
    from models.pretext import PretextHeads
    from models.threads import one_thread

    loaded = loaded_backbone(weights)
    assert isinstance(loaded.heads, PretextHeads)
    known: list[tuple[str, npt.NDArray[np.uint8]]] = []
    refused: list[Quarantined] = []
    for place, image in decoded_pictures(sources, places, refused, decoders):
        try:
            known.append((place.sha256, claim_patches(image)))
        except TooSmallError as error:
            reason = "fewer_than_4_patches"
            refused.append(Quarantined(place.source, place.uri, reason, str(error), place.sha256))
    if not known:
        return [], refused
    with one_thread():
        outputs = head_outputs(loaded.backbone, loaded.heads, [patches for _, patches in known])
    rows = [
        {"photo_id": photo_id, "backbone": weights.parent.name, "patches": len(patches), "outputs": said.tolist()}
        for (photo_id, patches), said in zip(known, outputs, strict=True)
    ]
    return rows, refused


def _claims_files(context: Context) -> Iterator[Path]:
    for identity in context.store.read("exif_claims", columns=["backbone"])["backbone"].unique():
        yield context.home.claims(identity)


@stage(
    group="detection",
    tables=["exif_claims"],
    upstream=[photos, pretext_targets, backbone, pretext_outputs],
    kinds=["safetensors"],
    files=_claims_files,
)
def exif_claims(context: Context) -> Product:
    """How well the pixels tell a photograph's own EXIF from another's, on held-out sources; and what judges a picture.

    Cross-fitted by source. Nothing is learned where the heads have no names or fewer than two sources are held out.
    """
    from models.claims import calibrate
    from models.swaps import NAMES, cross_fitted, exchange, halves, told

    if context.store.read("pretext_outputs", columns=["photo_id"]).is_empty():
        return Product({"exif_claims": frame("exif_claims", [])}, {"photographs": 0})
    rows, outputs, claimed, loaded = held_out_claims(context)
    if rows["group"].n_unique() < 2:
        return Product({"exif_claims": frame("exif_claims", [])}, {"photographs": len(rows)})
    identity = rows["backbone"][0]
    groups = rows["group"].to_numpy()
    parts = halves(outputs, claimed, groups)
    own = cross_fitted(parts, outputs, claimed)
    exchanged = exchange(parts, outputs, claimed, groups)
    measured = {
        swapped_with: told(exchanged, own, groups, chosen) for swapped_with, chosen in strata(rows, exchanged).items()
    }
    aurocs = {tag: found.auroc for tag, found in measured[ANOTHER_SOURCE].items()}
    claims = calibrate(loaded, outputs, claimed, groups, aurocs)
    with atomic_path(context.home.claims(identity)) as temporary:
        temporary.write_bytes(claims.to_bytes())
    quantiles = {tag: _quantiles(own[:, column]) for column, tag in enumerate(NAMES)}
    table = [
        {
            "backbone": identity,
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
        for swapped_with, by_tag in measured.items()
        for tag, found in by_tag.items()
    ]
    numbers = {f"auroc_{tag}": round(found.value, 4) for tag, found in aurocs.items() if found.value is not None}
    return Product({"exif_claims": frame("exif_claims", table)}, {"photographs": len(rows), **numbers})


def held_out_claims(context: Context) -> tuple[pl.DataFrame, "Outputs", "Claimed", "LoadedBackbone"]:
    """Held-out photographs, what the heads say of them, what their EXIF claims, and the backbone in use.

    The rows have photo_id, group, corpus, backbone and tags; there is at least one.
    """
    from models.claims import split_outputs
    from models.plausibility import Claimed
    from models.weights import load_backbone

    rows = (
        _asked(context)
        .join(context.store.read("pretext_outputs"), on="photo_id")
        .join(context.store.read("photos", columns=["photo_id", "corpus"]), on="photo_id")
        .sort("photo_id")
    )
    loaded = load_backbone(trained_backbone(context)[1])
    assert loaded.header.vocabulary is not None
    outputs = split_outputs(np.stack(rows["outputs"].to_list()), loaded.header.vocabulary)
    return rows.drop("outputs"), outputs, Claimed.of(rows.to_dicts(), loaded.header.vocabulary), loaded


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
