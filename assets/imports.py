"""Backbones that were trained elsewhere: taking them into a home, and choosing which backbone is in use.

The published file formats belong to `models/published.py`; the stage that hands the chosen backbone on is in
`backbone.py`. This module loads torch and is not loaded by the definitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assets.backbone import TRAINED, WEIGHTS, imported_weights
from assets.binary import NETWORK_FILE
from models.binary import BinaryNetwork
from models.published import PRESET, read_published
from models.weights import Header, WeightsError, read_header, save_backbone, save_binary
from warehouse.home import Home, UserError, digest
from warehouse.registry import read_registry, set_training
from warehouse.store import Store


@dataclass(frozen=True)
class Imported:
    """What a file held, and the identity its backbone has from now on."""

    kind: str
    identity: str
    parameters: int


@dataclass(frozen=True)
class Kept:
    """A backbone of a home."""

    identity: str
    origin: str
    preset: str
    learned_from: str
    in_use: bool


def import_backbone(home: Home, file: Path) -> Imported:
    """Take a published checkpoint into the home and use its backbone.

    Of a binary detector's file it is the pretext backbone, and the whole network is kept beside it. UserError for a
    file that is no such checkpoint.
    """
    try:
        published = read_published(file)
    except WeightsError as error:
        raise UserError(str(error)) from None
    network, sha256 = published.network, published.sha256
    if isinstance(network, BinaryNetwork):
        kind, backbone, heads = "binary detector", network.pretext, None
    else:
        kind, backbone, heads = "backbone with 14 heads", network.backbone, network.heads
    identity = digest(["imported", sha256])
    folder = home.backbones / identity
    header = Header("imported", PRESET, backbone.config, None, {"sha256": sha256, "kind": kind}, {})
    if isinstance(network, BinaryNetwork):
        save_binary(folder / NETWORK_FILE, network, header)
    save_backbone(folder / WEIGHTS, backbone, heads, header)
    set_training(home, backbone=identity)
    return Imported(kind, identity, sum(parameter.numel() for parameter in backbone.parameters()))


def use_backbone(home: Home, identity: str) -> None:
    """Use an imported backbone, or the one this home trains. UserError for one the home does not have."""
    if identity != TRAINED:
        imported_weights(home, identity)
    set_training(home, backbone=identity)


def list_backbones(home: Home) -> Iterator[Kept]:
    """Every backbone in the home, by identity."""
    store = Store(home.tables)
    used = (
        set(store.read("backbones", [TRAINED], ["backbone"])["backbone"])
        if store.manifest("backbones", TRAINED)
        else set()
    )
    chosen = read_registry(home).training.backbone
    for path in sorted(home.backbones.glob(f"*/{WEIGHTS}")):
        identity = path.parent.name
        try:
            header = read_header(path)
        except WeightsError as error:
            yield Kept(identity, "unreadable", "", str(error), in_use=False)
            continue
        provenance = header.provenance
        if header.origin == "imported":
            learned_from = f"{provenance['kind']}, file {provenance['sha256'][:16]}"
        else:
            learned_from = f"{header.metrics['steps']} steps" if header.metrics else "nothing"
        in_use = identity == chosen if chosen != TRAINED else identity in used
        yield Kept(identity, header.origin, header.preset, learned_from, in_use)
