"""Rows of features: from places of pictures to what the backbones make of them, shared by reference and benchmark.

What a detector sees of an image belongs to `models/description.py`; which pictures are described under which
conditions, to the stages.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assets.backbone import TRAINED, UNTRAINED, WEIGHTS
from assets.decoding import decoding
from assets.stage import Context
from warehouse.places import Place, RefusedError, Source
from warehouse.shards import Quarantined, Rows
from warehouse.sources import read_place

if TYPE_CHECKING:
    from models.backbone import Backbone
    from models.description import Given

# Decoded pictures held at once: camera files of 24 megapixels take 72 MB each.
PICTURES_AT_ONCE = 16


class Condition(NamedTuple):
    """Under what a picture is described: by which backbone, on which track, after which perturbation."""

    backbone: str
    track: str
    perturbation: str


def backbone_files(context: Context) -> dict[str, Path]:
    """Identity and weights file of the trained and of the untrained backbone, in this order."""
    identities = [context.store.read("backbones", [role], ["backbone"])["backbone"][0] for role in (TRAINED, UNTRAINED)]
    return {identity: context.home.backbones / identity / WEIGHTS for identity in identities}


def describe_pictures(
    backbones: Mapping[str, Path],
    sources: Mapping[str, Source],
    pictures: Sequence[Place],
    wanted: Mapping[str, Sequence[Condition]],
) -> tuple[Rows, list[Quarantined]]:
    """Features of pictures under the conditions wanted of each content, and the pictures whose pixels cannot be had.

    Each picture is decoded once; one of which nothing is wanted is not read. The first backbone gives token 0 as well.
    """
    from models.description import Given
    from models.weights import load_backbone

    networks = {identity: load_backbone(path).backbone for identity, path in backbones.items()}
    asked = [picture for picture in pictures if wanted[picture.sha256]]
    rows: Rows = []
    refused: list[Quarantined] = []
    with decoding() as decode:
        for start in range(0, len(asked), PICTURES_AT_ONCE):
            decoded = []
            for place in asked[start : start + PICTURES_AT_ONCE]:
                try:
                    decoded.append(Given(place.sha256, decode(read_place(sources, place))))
                except RefusedError as error:
                    refused.append(Quarantined(place.source, place.uri, error.reason, error.detail, place.sha256))
            rows += _described(networks, decoded, wanted)
    return rows, refused


def _described(
    networks: Mapping[str, "Backbone"], pictures: Sequence["Given"], wanted: Mapping[str, Sequence[Condition]]
) -> Iterator[dict[str, Any]]:
    """Rows of pictures; those that want the same of a track and perturbation go through the networks together."""
    from models.description import describe

    first = next(iter(networks))
    together: dict[tuple[str, str, tuple[str, ...]], list[Given]] = defaultdict(list)
    for picture in pictures:
        by_condition: dict[tuple[str, str], list[str]] = defaultdict(list)
        for condition in wanted[picture.sha256]:
            by_condition[condition.track, condition.perturbation].append(condition.backbone)
        for (track, perturbation), missing in by_condition.items():
            ordered = tuple(identity for identity in networks if identity in missing)
            together[track, perturbation, ordered].append(picture)
    for (track, perturbation, identities), chosen in together.items():
        asked = [networks[identity] for identity in identities]
        for picture, said in zip(
            chosen, describe(chosen, track, asked, perturbation, token0=identities[0] == first), strict=True
        ):
            for number, identity in enumerate(identities):
                yield {
                    "sha256": picture.sha256,
                    "backbone": identity,
                    "track": track,
                    "perturbation": perturbation,
                    "reason": said.reason,
                    "complexity": said.complexity,
                    "patches": said.patches,
                    "token_mean": said.token_mean[number].tolist() if said.token_mean else None,
                    "token0": said.token0.tolist() if said.token0 is not None and identity == first else None,
                    "covariates": said.covariates.tolist() if said.covariates is not None else None,
                }
