from __future__ import annotations

from typing import Any

import pytest

from models.binary_config import BinaryConfig, binary_config


def test_the_published_schedule_is_there_by_name() -> None:
    config = binary_config("published")
    assert (config.preset, config.batch_images, config.patches, config.epochs) == ("full", 100, 16, 15)
    assert (config.weight_decay, config.gradient_norm, config.patience, config.alpha) == (0.0, None, 0, 0.05)
    # 15 epochs of ForenSynths' 720,119 images would be so many batches of 100.
    resolved = config.resolved(720_119)
    assert resolved.steps == 108_018
    assert resolved.rate_of_step(0) == resolved.rate_of_step(108_017) == 1e-3
    with pytest.raises(ValueError, match="there are default, published"):
        binary_config("fast")


def test_named_steps_take_the_place_of_epochs() -> None:
    assert binary_config("published", steps=7).resolved(10_000).steps == 7
    assert binary_config("default").resolved(10_000) == BinaryConfig()
    assert binary_config("published", epochs=1).resolved(250).steps == 3


@pytest.mark.parametrize("changes", [{"batch_images": 5}, {"alpha": -1.0}, {"epochs": 0}, {"steps": 0}])
def test_impossible_configurations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"even|alpha|at least"):
        BinaryConfig(**changes)
