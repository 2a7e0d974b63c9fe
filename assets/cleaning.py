"""The clean-up of a home: which detectors and weights are needed, and everything else that may go.

What champions, tables, catalogues and the registry ask for is put together here; how files are found by name and time,
and how they are taken away, belongs to `warehouse/retention.py`, the lock and the job to `pipelines/cleaning.py`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from assets.backbone import WEIGHTS
from assets.champions import before, decisions, opponent
from warehouse.champion import read_champion
from warehouse.home import Home
from warehouse.registry import read_registry
from warehouse.retention import (
    Removal,
    former_versions,
    identities_named,
    last_written,
    left_over,
    remove,
    seen_by_the_gone,
    unnamed_shards,
    unneeded_weights,
    weights_folders,
)
from warehouse.store import Store

_TABLES: Mapping[str, str] = {
    "detectors": "detectors",
    "backbones": "backbones",
    "binary networks": "binary_networks",
    "autoencoders": "autoencoders",
    "reconstruction networks": "reconstruction_networks",
    "coding networks": "coding_networks",
}
"""The table that names what lies in a folder of weights."""


class Removed(NamedTuple):
    """How much of a kind went: things, their files and bytes."""

    kind: str
    things: int
    files: int
    bytes: int


def clean(home: Home, *, dry_run: bool = False) -> list[Removed]:
    """Remove what nobody needs any more (with `dry_run` only say what); what went, by kind.

    To be called by whoever holds the lock of the home, but for `dry_run`. A clean-up that was killed leaves a home that
    works, and the next one takes away the same. Raises UserError where the registry or a file of the home is damaged,
    and where the home may not be written.
    """
    went: dict[str, list[Removal]] = {}
    for each in list(unneeded(home)):
        if not dry_run:
            # A person may have chosen it a moment ago.
            if each.kind == "detectors" and each.path.name in champions(home):
                continue
            remove(each)
        went.setdefault(each.kind, []).append(each)
    return [
        Removed(kind, len(gone), sum(each.files for each in gone), sum(each.bytes for each in gone))
        for kind, gone in went.items()
    ]


def unneeded(home: Home) -> Iterator[Removal]:
    """Everything that may go now. Raises UserError where the registry or the names of the catalogues are damaged."""
    from warehouse.catalogue_names import names_in_use

    store, published, registry = Store(home.tables), names_in_use(home), read_registry(home)
    files = {home.path / file for file in published.files}
    yield from left_over(home)
    yield from unnamed_shards(store, files)
    yield from former_versions(store, files)
    needed = identities_named(store) | published.identities | champions(home) | {registry.training.backbone}
    going: set[str] = set()
    for kind, folder in weights_folders(home).items():
        for each in unneeded_weights(kind, folder, needed, registry.retrain.keep, last_written(store, _TABLES[kind])):
            if folder == home.backbones and _brought_by_a_person(each.path):
                continue
            if folder == home.detectors:
                going.add(each.path.name)
            yield each
    yield from seen_by_the_gone(store, files, lambda of: of in going or not (home.detectors / of).exists())


def champions(home: Home) -> set[str]:
    """Detectors that answer, answered last, or may answer again: `[retrain] keep` of them and who was before each.

    Their files hold the networks they judge by, so they need no backbone beside them.
    """
    past = [decision for decision in decisions(Store(home.tables)) if decision.promoted]
    answered = dict.fromkeys([read_champion(home), *(decision.champion for decision in reversed(past))])
    kept = [each for each in answered if each is not None][: read_registry(home).retrain.keep]
    former = {identity for champion in kept for identity in (before(past, champion), opponent(home, champion))}
    return {each for each in (*kept, *former) if each is not None}


def _brought_by_a_person(folder: Path) -> bool:
    """Whether a backbone was imported, or cannot be asked: it may not be had again."""
    from models.weights import WeightsError, read_header

    if not (folder / WEIGHTS).exists():
        return False
    try:
        return read_header(folder / WEIGHTS).origin == "imported"
    except WeightsError:
        return True
