"""The first step of a training by one process, which that of several ranks has to be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.ranks import Ranks
from models.train_config import TrainConfig
from models.training_run import TrainingRun, read_data


def assert_that_of_one(config: TrainConfig, shards: list[Path], targets: Path, saved: Path) -> None:
    """Losses and gradients of the whole batch that ranks have saved are those of this process alone."""
    several = torch.load(saved, weights_only=True)
    run = TrainingRun(config, read_data(config, shards, targets, Ranks()), "", Ranks())
    losses = run.gradients_of(run.data.batches.batch(0))
    run.data.batches.close()
    assert losses["iso"] > 0
    assert losses == pytest.approx(several["losses"], rel=1e-4, abs=1e-6)
    for name, parameter in run.network.named_parameters():
        one = np.zeros(1) if parameter.grad is None else parameter.grad.numpy()
        # A bias that moves all scores alike ranks nothing: its gradient is rounding.
        other = np.zeros(1) if several["gradients"][name] is None else several["gradients"][name].numpy()
        assert np.abs(one - other).max() <= 1e-4 * np.abs(one).max() + 1e-7, name
