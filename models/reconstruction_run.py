"""A run that trains the network that tells photographs from their reconstructions: its losses, and how it is judged.

What every run has is in `run`; the network is in `reconstruction`, the pairs in `pseudo_fakes`; the loop, and the files
a run leaves, in `train`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save
from sklearn.metrics import roc_auc_score
from torch import Tensor

from models.autoencoders import HELD_OUT, Autoencoder
from models.crops import Batch
from models.pseudo_fakes import pairs
from models.ranks import Ranks
from models.reconstruction import ReconstructionNetwork, logits_of, luma_of, network_of
from models.reconstruction_config import ReconstructionConfig
from models.run import Judged, Run
from models.view_batches import ViewData
from models.weights import write_atomically


class ReconstructionRun(Run[ReconstructionConfig]):
    """One run of one network. Reconstructions of the held-out makes judge it and are never learned from."""

    weights_file = "reconstruction.safetensors"

    def __init__(
        self,
        config: ReconstructionConfig,
        data: ViewData,
        autoencoders: Sequence[Autoencoder],
        digest: str,
        ranks: Ranks,
    ) -> None:
        self.learned = [each for each in autoencoders if each.make.name not in HELD_OUT]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.classifier = ReconstructionNetwork()
        unseen = [each for each in autoencoders if each.make.name in HELD_OUT]
        rng = np.random.default_rng([config.seed, 3])
        self.judged = [
            made
            for makes in (self.learned, unseen)
            for batch in data.validation
            for made in [pairs(batch.patches[:, 0], makes, rng)]
        ]
        self.classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(config, self.classifier, data.batches, data.photo_ids, digest, ranks)

    @property
    def patches_per_step(self) -> int:
        """Squares of a step, of both kinds."""
        return 2 * self.config.pairs

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of both kinds, and of telling which of a pair is which."""
        rng = np.random.default_rng([self.config.seed, 4, self.step])
        made = pairs(batch.patches[:, 0], self.learned, rng)
        logits = self.classifier(luma_of(np.concatenate([made.photographs, made.fakes])))
        real, fake = logits.chunk(2)
        return {
            "cross_entropy": 0.5 * (F.softplus(real).mean() + F.softplus(-fake).mean()),
            "within_pairs": 0.5 * F.softplus(real - fake).mean(),
        }

    def judge(self) -> Judged:
        """AUROC by make, photographs of held-out sources against reconstructions; the score is that of unseen makes."""
        real: list[float] = []
        fakes: dict[str, list[float]] = defaultdict(list)
        told: dict[str, list[bool]] = defaultdict(list)
        for made in self.judged:
            own = logits_of(self.classifier, made.photographs)
            real += own.tolist()
            for make, photograph, logit in zip(made.makes, own, logits_of(self.classifier, made.fakes), strict=True):
                fakes[make].append(float(logit))
                told[make].append(bool(logit > photograph))
        aurocs = {
            make: float(roc_auc_score([0] * len(real) + [1] * len(scores), real + scores))
            for make, scores in sorted(fakes.items())
        }
        within = {make: float(np.mean(each)) for make, each in sorted(told.items())}
        unseen = [aurocs[make] for make in HELD_OUT if make in aurocs]
        table = {"auroc": aurocs, "within_pairs": within, "photographs": len(real)}
        return Judged(float(np.mean(unseen)), table, {"auroc": aurocs}, {"auroc": aurocs})

    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the network."""
        weights = {name: tensor.contiguous().numpy() for name, tensor in self.classifier.state_dict().items()}
        content = {"provenance": dict(provenance), "metrics": dict(metrics)}
        write_atomically(path, save(weights, {"sdaie": json.dumps(content, sort_keys=True)}))


def load_reconstruction(path: Path) -> ReconstructionNetwork:
    """The network of a file, in evaluation mode."""
    return network_of(load_file(path))
