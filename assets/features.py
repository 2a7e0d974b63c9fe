"""Rows of features: from places of pictures to what the backbone makes of them, shared by reference and benchmark.

What a detector sees of an image belongs to `models/description.py`; which pictures are described under which
conditions, to the stages.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assets.backbone import TRAINED, UNTRAINED, WEIGHTS
from assets.pictures import decoded_pictures
from assets.stage import Context
from warehouse.places import Place, Source
from warehouse.shards import Quarantined, Rows

if TYPE_CHECKING:
    from models.backbone import Backbone
    from models.description import Given
    from models.weights import LoadedBackbone

# Decoded pictures held at once: camera files of 24 megapixels take 72 MB each.
PICTURES_AT_ONCE = 16


class Condition(NamedTuple):
    """Under what a picture is described: on which track, after which perturbation."""

    track: str
    perturbation: str


def backbone_files(context: Context) -> dict[str, Path]:
    """Identity and weights file of the trained and of the untrained backbone, in this order."""
    return dict(_backbone(context, role) for role in (TRAINED, UNTRAINED))


def trained_backbone(context: Context) -> tuple[str, Path]:
    """Identity and weights file of the trained backbone."""
    return _backbone(context, TRAINED)


def _backbone(context: Context, role: str) -> tuple[str, Path]:
    identity: str = context.store.read("backbones", [role], ["backbone"])["backbone"][0]
    return identity, context.home.backbones / identity / WEIGHTS


def loaded_backbone(weights: Path) -> "LoadedBackbone":
    """A backbone where it computes (`models/device.py`); a process that works on many shards loads it once."""
    return _loaded(weights, weights.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(weights: Path, changed_ns: int) -> "LoadedBackbone":
    from models.device import inference_device
    from models.weights import load_backbone

    loaded = load_backbone(weights)
    for part in (loaded.backbone, loaded.heads):
        if part is not None:
            part.to(inference_device())
    return loaded


def describe_pictures(
    backbone: str,
    weights: Path,
    sources: Mapping[str, Source],
    pictures: Sequence[Place],
    wanted: Mapping[str, Sequence[Condition]],
    decoders: int,
) -> tuple[Rows, list[Quarantined]]:
    """Features of pictures under the conditions wanted of each content, and the pictures whose pixels cannot be had.

    Each picture is decoded once, by `decoders` processes side by side; one of which nothing is wanted is not read.
    """
    from models.description import Given
    from models.threads import one_thread

    network = loaded_backbone(weights).backbone
    asked = [picture for picture in pictures if wanted[picture.sha256]]
    rows: Rows = []
    refused: list[Quarantined] = []
    decoded = (Given(place.sha256, pixels) for place, pixels in decoded_pictures(sources, asked, refused, decoders))
    with one_thread():
        while together := list(islice(decoded, PICTURES_AT_ONCE)):
            rows += [{"backbone": backbone} | row for row in _described(network, together, wanted)]
    return rows, refused


def _described(
    network: "Backbone", pictures: Sequence["Given"], wanted: Mapping[str, Sequence[Condition]]
) -> Iterator[dict[str, Any]]:
    """Rows of pictures; those that want the same track and perturbation go through the network together."""
    from models.description import describe

    together: dict[Condition, list[Given]] = defaultdict(list)
    for picture in pictures:
        for condition in wanted[picture.sha256]:
            together[condition].append(picture)
    for (track, perturbation), chosen in together.items():
        for picture, said in zip(chosen, describe(chosen, track, network, perturbation), strict=True):
            yield {
                "sha256": picture.sha256,
                "track": track,
                "perturbation": perturbation,
                "reason": said.reason,
                "complexity": said.complexity,
                "token0": said.token0.tolist() if said.token0 is not None else None,
            }
