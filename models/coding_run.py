"""A run that trains the network that predicts JPEG's coefficients of photographs: its loss, and how it is judged.

What every run has is in `run`; the network is in `coding`, the views it learns from in `view_batches`; the loop, and
the files a run leaves, in `train`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from models.coding import CodingNetwork, cost
from models.coding_config import CodingConfig
from models.coefficients import coefficients
from models.crops import Batch
from models.ranks import Ranks
from models.run import Judged, Run
from models.view_batches import ViewData
from models.views import finishing
from models.weights import write_atomically


class CodingRun(Run[CodingConfig]):
    """One run of the network, from views of photographs that have passed the last JPEG."""

    weights_file = "coding.safetensors"

    def __init__(self, config: CodingConfig, data: ViewData, digest: str, ranks: Ranks) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.coder = CodingNetwork()
        rng = np.random.default_rng([config.seed, 3])
        self.judged = [self._blocks(batch, rng) for batch in data.validation]
        super().__init__(config, self.coder, data.batches, data.photo_ids, digest, ranks)

    @property
    def patches_per_step(self) -> int:
        """Squares of a step."""
        return self.config.batch

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """What a coefficient costs."""
        rng = np.random.default_rng([self.config.seed, 4, self.step])
        blocks = self._blocks(batch, rng)
        return {"nats": cost(self.coder, blocks).mean()}

    def judge(self) -> Judged:
        """What a coefficient costs on photographs of held-out sources; the score is minus that."""
        costs = [cost(self.coder, blocks).mean(dim=(1, 2, 3)) for blocks in self.judged]
        mean = float(torch.cat(costs).mean())
        return Judged(-mean, {"nats": mean}, {"nats": mean}, {"nats": mean})

    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the network."""
        content = {"provenance": dict(provenance), "metrics": dict(metrics)}
        weights = {name: tensor.contiguous() for name, tensor in self.coder.state_dict().items()}
        write_atomically(path, save(weights, {"sdaie": json.dumps(content, sort_keys=True)}))

    @staticmethod
    def _blocks(batch: Batch, rng: np.random.Generator) -> Tensor:
        """Coefficients (B, 64, h, w) of the views of a batch after an earlier JPEG, a crop and the last JPEG."""
        finished = [finishing(view.shape[0], rng)(view) for view in batch.patches[:, 0]]
        return torch.from_numpy(coefficients(np.stack(finished))).float()
