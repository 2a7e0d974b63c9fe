"""Pictures are decoded in order, by one process or several ahead, and a network is loaded once for many shards."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.features import loaded_backbone
from assets.pictures import decoded_pictures
from models.weights import save_untrained
from warehouse.places import Place
from warehouse.shards import Quarantined
from warehouse.source_folder import FolderSource


def places(folder: Path, count: int) -> list[Place]:
    """Small pictures of different grey, every fifth of them damaged."""
    found = []
    for number in range(count):
        path = folder / f"{number:02d}.png"
        Image.new("L", (8 + number, 8), number).save(path)
        if number % 5 == 3:
            path.write_bytes(path.read_bytes()[:-30])
        found.append(Place(hashlib.sha256(path.read_bytes()).hexdigest(), "corpus", path.name))
    return found


def test_several_decoders_give_what_one_gives_in_its_order(tmp_path: Path) -> None:
    asked, sources = places(tmp_path, 23), {"corpus": FolderSource(tmp_path)}
    found = []
    for decoders in (1, 3):
        refused: list[Quarantined] = []
        decoded = list(decoded_pictures(sources, asked, refused, decoders))
        assert [place.uri for place, _ in decoded] == [p.uri for n, p in enumerate(asked) if n % 5 != 3]
        assert [int(pixels[0, 0, 0]) for _, pixels in decoded] == [n for n in range(23) if n % 5 != 3]
        assert [each.uri for each in refused] == [p.uri for n, p in enumerate(asked) if n % 5 == 3]
        found.append(([pixels.tobytes() for _, pixels in decoded], refused))
    assert found[0] == found[1]


def test_whoever_stops_taking_pictures_stops_their_decoders(tmp_path: Path) -> None:
    decoded = decoded_pictures({"corpus": FolderSource(tmp_path)}, places(tmp_path, 23), [], 3)
    assert np.array_equal(next(decoded)[1], np.zeros((8, 8, 3)))
    decoded.close()  # type: ignore[attr-defined]


def test_a_backbone_is_loaded_once_until_its_file_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "backbone.safetensors"
    save_untrained(weights, "compact", 0)
    first = loaded_backbone(weights)
    assert loaded_backbone(weights) is first
    save_untrained(weights, "compact", 1)
    os.utime(weights, ns=(1, 1))
    second = loaded_backbone(weights)
    before, after = (next(each.backbone.parameters()).detach() for each in (first, second))
    assert not before.equal(after)
