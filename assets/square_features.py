"""Features of the reference photographs by square: of each as it is and of views of it, by five kinds of features.

Which pictures are made of a photograph belongs to `models/reference_squares.py`, what is fitted on the features to
`square_detectors.py`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.backbone import backbone, untrained_backbone
from assets.coding import coding, coding_file
from assets.corpus import photos, reference_photographs, splits
from assets.features import backbone_files, loaded_backbone
from assets.photograph_shards import Item, described_photographs
from assets.pictures import decoded_pictures
from assets.stage import Context, Product, stage
from warehouse.home import UserError
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows

if TYPE_CHECKING:
    from models.coding import CodingNetwork
    from models.square_features import SquareFeatures
    from models.squares import Squares

TABLE = "square_features"
HANDMADE, CO_OCCURRENCES = "handmade", "co_occurrences"
TRAINED, UNTRAINED, CODING = "trained", "untrained", "coding"

# By what the side of a square is divided. A patch of the backbones takes 64 px and goes no further.
_FACTORS = (1, 2)


@stage(
    group="detection",
    tables=[TABLE],
    upstream=[photos, splits, backbone, untrained_backbone, coding],
    kinds=["parquet", "torch"],
)
def square_features(context: Context) -> Product:
    """Features of squares of every reference photograph: by hand, of both backbones, and by the network of coding."""
    reference = reference_photographs(context)
    if reference.is_empty():
        raise UserError(
            "no reference photographs: register a corpus with `sdaie corpus add NAME SOURCE --use reference`"
        )
    networks = square_networks(context)
    describe = partial(describe_squares, networks)
    made_from = [file.parent.name for file in networks]
    return described_photographs(context, TABLE, reference, describe, made_from, "squares")


def describe_squares(
    networks: list[Path], sources: dict[str, Source], decoders: int, items: tuple[Item, ...]
) -> tuple[Rows, list[Quarantined]]:
    """Rows of `square_features` for some photographs, and those whose pixels cannot be had or that have no square."""
    from models.threads import one_thread

    features = square_kinds(networks)
    rows: Rows = []
    refused: list[Quarantined] = []
    group_of = {place.sha256: group for place, group in items}
    with one_thread():
        for place, pictures in squares_of(sources, [place for place, _ in items], refused, decoders):
            group, fold = group_of[place.sha256]
            keys = {"photo_id": place.sha256, "corpus": place.source, "group": group, "fold": fold}
            rows += [keys | row for row in _rows(features, pictures)]
    return rows, refused


def squares_of(
    sources: dict[str, Source], places: Sequence[Place], refused: list[Quarantined], decoders: int
) -> "Iterator[tuple[Place, list[tuple[str, Squares]]]]":
    """Photographs with the squares of each picture made of them, by its view; those without any join `refused`."""
    from models.reference_squares import reference_squares

    for place, image in decoded_pictures(sources, places, refused, decoders):
        pictures = list(reference_squares(image, place.sha256))
        if pictures:
            yield place, pictures
        else:
            detail = "no room for a square of 128 x 128 px"
            refused.append(Quarantined(place.source, place.uri, "too_small", detail, place.sha256))


def square_networks(context: Context) -> list[Path]:
    """Files of the networks that features by square are of: the trained backbone, the untrained, and that of coding."""
    return [*backbone_files(context).values(), coding_file(context)]


def square_kinds(networks: list[Path]) -> "dict[str, SquareFeatures]":
    """What gives each kind of features, by the files that `square_networks` gave."""
    from models.coding import CodingFeatures
    from models.square_features import CoOccurrences, CovarianceFeatures, Pyramid

    *backbones, coder = networks
    kinds: dict[str, SquareFeatures] = {
        HANDMADE: handmade_features(),
        CO_OCCURRENCES: Pyramid(CoOccurrences(), _FACTORS),
        CODING: Pyramid(CodingFeatures(_loaded_coding(coder)), _FACTORS),
    }
    for kind, path in zip((TRAINED, UNTRAINED), backbones, strict=True):
        loaded = loaded_backbone(path)
        kinds[kind] = Pyramid(CovarianceFeatures(loaded.header.preset, loaded.backbone), _FACTORS)
    return kinds


def handmade_features() -> "SquareFeatures":
    """Those that need no network, at their scales."""
    from models.square_features import HandFeatures, Pyramid

    return Pyramid(HandFeatures(), _FACTORS)


@lru_cache(maxsize=1)
def _loaded_coding(path: Path) -> "CodingNetwork":
    """The network where networks compute; a worker loads it once."""
    from models.coding import load_coding
    from models.device import inference_device

    return load_coding(path).to(inference_device())


def _rows(kinds: "dict[str, SquareFeatures]", pictures: "Sequence[tuple[str, Squares]]") -> Iterator[dict[str, Any]]:
    """What is known of each square of one photograph."""
    for view, seen in pictures:
        found = {kind: features(seen.pixels) for kind, features in kinds.items()}
        for square in range(len(seen)):
            vectors = {kind: values[square] for kind, values in found.items()} | {"covariates": seen.covariates[square]}
            yield {"view": view, "square": square} | {
                name: vector.astype(np.float32).tolist() for name, vector in vectors.items()
            }
