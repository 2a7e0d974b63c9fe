"""What the networks that tell reconstructions say of squares of photographs whose sources they have not seen.

Which pictures are made of a photograph belongs to `models/reference_squares.py`, how logits become scores to
`square_detectors.py`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from assets.corpus import photo_places, photos, reference_photographs, splits
from assets.decoding import decoding
from assets.reconstruction import network_files, reconstruction
from assets.stage import Context, Product, stage
from warehouse.places import Place, RefusedError, Source
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.sources import corpus_sources, read_place

TABLE = "square_logits"
UNSEEN = 3
"""Folds from this one on train no network."""


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, splits, reconstruction],
    kinds=["parquet", "torch"],
)
def square_logits(context: Context) -> Product:
    """Logits of the reconstruction networks on squares of photographs of folds 3 and 4, and how blocky these are."""
    places = photo_places(reference_photographs(context).filter(pl.col("fold") >= UNSEEN))
    files = list(network_files(context))
    rows, refused = run_shards(
        context.store,
        context.compute,
        TABLE,
        cut_shards(
            TABLE,
            places,
            lambda place: place.sha256,
            lambda place: place[:3],
            [context.version, *(file.parent.name for file in files)],
        ),
        partial(judge_squares, files, corpus_sources(context.home, context.registry)),
        progress=context.progress("logits of the reference"),
        again=context.force,
    )
    quarantined = sum(shard.rows for shard in refused)
    numbers = {"photographs": len(places) - quarantined, "quarantined": quarantined}
    return Product({TABLE: rows}, numbers, {TABLE: refused})


def judge_squares(
    files: list[Path], sources: dict[str, Source], places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `square_logits` for some photographs, and those whose pixels cannot be had or that have no square."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from models.abstention import blockiness
    from models.reconstruction import logits_of
    from models.reconstruction_run import load_reconstruction
    from models.reference_squares import reference_squares

    networks = [load_reconstruction(file) for file in files]
    rows: Rows = []
    refused: list[Quarantined] = []
    # The cores are shared by photographs: every worker keeps to one.
    with decoding() as decode, threadpool_limits(limits=1):
        for place in places:
            try:
                image = decode(read_place(sources, place))
            except RefusedError as error:
                refused.append(Quarantined(place.source, place.uri, error.reason, error.detail, place.sha256))
                continue
            own: list[dict[str, Any]] = []
            for view, seen in reference_squares(image, place.sha256):
                logits = [logits_of(network, seen.pixels) for network in networks]
                blocky = blockiness(seen.pixels)
                own += [
                    {
                        "photo_id": place.sha256,
                        "view": view,
                        "square": square,
                        "logits": [one[square] for one in logits],
                        "blockiness": blocky,
                    }
                    for square in range(len(seen))
                ]
            if not own:
                detail = "no room for a square of 128 x 128 px"
                refused.append(Quarantined(place.source, place.uri, "too_small", detail, place.sha256))
            rows += own
    return rows, refused
