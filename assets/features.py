"""Rows of features: from places of pictures to what the backbones make of them, shared by reference and benchmark.

What a detector sees of an image belongs to `models/description.py`; which pictures are described, to the stages.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assets.backbone import TRAINED, UNTRAINED, WEIGHTS
from assets.stage import Context
from warehouse.shards import Quarantined, Rows
from warehouse.sources import RefusedError, read_bytes

# Decoded pictures held at once: camera files of 24 megapixels take 72 MB each.
PICTURES_AT_ONCE = 16

Picture = tuple[str, Path, str, str]
"""Content (SHA-256), folder, source as named in the quarantine, uri below the folder."""


def backbone_files(context: Context) -> dict[str, Path]:
    """Identity and weights file of the trained and of the untrained backbone, in this order."""
    identities = [context.store.read("backbones", [role], ["backbone"])["backbone"][0] for role in (TRAINED, UNTRAINED)]
    return {identity: context.home.backbones / identity / WEIGHTS for identity in identities}


def describe_pictures(
    backbones: dict[str, Path],
    pictures: Sequence[Picture],
) -> tuple[Rows, list[Quarantined]]:
    """Features of some pictures on every track by every backbone, and the pictures whose pixels cannot be had."""
    from models.description import describe
    from models.images import ImageError, decode_rgb
    from models.tracks import TRACKS
    from models.weights import load_backbone

    networks = [load_backbone(path).backbone for path in backbones.values()]
    rows: Rows = []
    refused: list[Quarantined] = []
    for start in range(0, len(pictures), PICTURES_AT_ONCE):
        decoded = []
        for picture in pictures[start : start + PICTURES_AT_ONCE]:
            sha256, folder, source, uri = picture
            try:
                decoded.append((sha256, decode_rgb(read_bytes(folder, uri))))
            except ImageError as error:
                refused.append(Quarantined(source, uri, error.code, str(error), sha256))
            except RefusedError as error:
                refused.append(Quarantined(source, uri, error.reason, error.detail, sha256))
        for track in TRACKS:
            descriptions = describe([image for _, image in decoded], track, networks)
            for (sha256, _), description in zip(decoded, descriptions, strict=True):
                rows += list(_rows(sha256, track, description, list(backbones)))
    return rows, refused


def _rows(sha256: str, track: str, description: Any, backbones: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, backbone in enumerate(backbones):
        judged = description.reason is None
        yield {
            "sha256": sha256,
            "backbone": backbone,
            "track": track,
            "reason": description.reason,
            "complexity": description.complexity,
            "patches": description.patches,
            "token_mean": description.token_mean[number].tolist() if judged else None,
            "token0": description.token0.tolist() if judged and number == 0 else None,
        }
