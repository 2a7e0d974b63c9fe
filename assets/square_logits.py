"""What the networks that tell reconstructions say of squares of photographs whose sources they have not seen.

Which pictures are made of a photograph belongs to `models/reference_squares.py`, how logits become scores to
`square_detectors.py`.
"""

from functools import partial
from pathlib import Path

import polars as pl

from assets.corpus import UNSEEN_FOLDS, photo_places, photos, reference_photographs, splits
from assets.photograph_shards import described_places
from assets.reconstruction import network_files, reconstruction
from assets.square_features import squares_of
from assets.stage import Context, Product, stage
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows

TABLE = "square_logits"


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, splits, reconstruction],
    kinds=["parquet", "torch"],
)
def square_logits(context: Context) -> Product:
    """Logits of the reconstruction networks on squares of photographs of folds 3 and 4, and how blocky these are."""
    places = photo_places(reference_photographs(context).filter(pl.col("fold").is_in(UNSEEN_FOLDS)))
    files = list(network_files(context))
    judge, made_from = partial(judge_squares, files), [file.parent.name for file in files]
    said = "logits of the reference"
    return described_places(context, context.compute.networks(), TABLE, places, judge, made_from, said)


def judge_squares(
    files: list[Path], sources: dict[str, Source], decoders: int, places: tuple[Place, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `square_logits` for some photographs, and those whose pixels cannot be had or that have no square."""
    from models.abstention import blockiness
    from models.device import inference_device
    from models.reconstruction import logits_of
    from models.reconstruction_run import load_reconstruction
    from models.threads import one_thread

    networks = [load_reconstruction(file).to(inference_device()) for file in files]
    rows: Rows = []
    refused: list[Quarantined] = []
    with one_thread():
        for place, pictures in squares_of(sources, places, refused, decoders):
            for view, seen in pictures:
                logits = [logits_of(network, seen.pixels) for network in networks]
                blocky = blockiness(seen.pixels)
                rows += [
                    {
                        "photo_id": place.sha256,
                        "view": view,
                        "square": square,
                        "logits": [one[square] for one in logits],
                        "blockiness": blocky,
                    }
                    for square in range(len(seen))
                ]
    return rows, refused
