"""The stages that hand a backbone on, where it was trained elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.backbone import _tag_row, backbone, untrained_backbone
from assets.features import backbone_files
from assets.imports import import_backbone, list_backbones, use_backbone
from assets.stage import Context
from models.published import PublishedBackbone
from models.train_config import TrainConfig
from models.validation import classification
from models.weights import load_backbone
from tests.models.published_files import write_published
from warehouse.home import Home, UserError
from warehouse.shards import frame


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose tables before training are there and empty."""
    home = Home(tmp_path / "home")
    store = Context(home).store
    for table in ("pretext_targets", "crops"):
        store.commit(table, [store.write_shard(table, frame(table, []))], provenance={})
    return home


def test_an_imported_backbone_goes_through_the_stages(home: Home, tmp_path: Path) -> None:
    imported = import_backbone(home, write_published(tmp_path / "net.pth", PublishedBackbone()))
    context = Context(home)
    backbone.materialise(context)
    untrained_backbone.materialise(context)
    assert backbone.is_current(context)
    (row,) = context.store.read("backbones", ["trained"]).to_dicts()
    assert (row["origin"], row["backbone"], row["preset"]) == ("imported", imported.identity, "full")
    assert row["photographs"] is row["steps"] is None
    assert context.store.read("pretext_metrics").is_empty()
    in_use, companion = backbone_files(context)
    assert in_use == imported.identity
    # The companion is of the same architecture: what differs is what was learned.
    assert load_backbone(home.backbones / companion / "backbone.safetensors").header.preset == "full"
    assert [(kept.origin, kept.in_use) for kept in list_backbones(home)].count(("imported", True)) == 1

    use_backbone(home, "trained")
    assert not backbone.is_current(Context(home))
    with pytest.raises(UserError, match="was not imported"):
        use_backbone(home, companion)


def test_an_imported_backbone_that_is_gone_is_named(home: Home) -> None:
    home.registry.write_text("[training]\nbackbone = '0123456789abcdef'\n")
    with pytest.raises(UserError, match="backbone 0123456789abcdef is not in"):
        untrained_backbone.materialise(Context(home))


def test_what_the_registry_asks_for_is_trained_and_the_schedule_says_the_rest(home: Home) -> None:
    def asked(text: str) -> tuple[Any, ...]:
        home.registry.write_text(f"[training]\n{text}\n")
        settings = backbone.provenance(Context(home))["settings"]
        return tuple(settings[name] for name in ("preset", "steps", "start"))

    assert asked("") == ("compact", TrainConfig().steps, "random")
    assert asked("start = 'differences'\nsteps = 7") == ("compact", 7, "differences")
    assert asked("schedule = 'published'") == ("full", TrainConfig().steps, "random")


def test_a_tag_that_no_photograph_can_be_judged_by_has_a_row_of_nulls() -> None:
    """As where no held-out camera occurs in training."""
    nothing = classification(np.empty(0, np.int64), np.empty(0, np.int64), [])
    rows = frame("pretext_metrics", [_tag_row("b", "model", dict(nothing))])
    assert rows.select("labelled", "value", "baseline", "value_low").row(0) == (0, None, None, None)
