"""A run that trains the binary detector: its losses, and how it is judged.

What every run has, from the optimiser to its checkpoints, is in `run`; what is learned from in `binary_data`; the loop,
and the files a run leaves, in `train`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.binary_config import BinaryConfig
from models.binary_data import CLASSES, BinaryData
from models.crops import Batch
from models.ranks import Ranks
from models.run import Judged, Run, TrainingDataError
from models.weights import Header, LoadedBackbone, save_binary

CROSS_ENTROPY, TAP_DISTANCE = "cross_entropy", "tap_distance"
"""Parts of the loss; the second already times alpha."""


class BinaryRun(Run[BinaryConfig]):
    """One run of the binary detector; what it learns is the classifier's own backbone and linear layer.

    TrainingDataError where the pretext backbone is of another size than the configuration asks for.
    """

    weights_file = "binary.safetensors"

    def __init__(
        self, config: BinaryConfig, data: BinaryData, pretext: LoadedBackbone, digest: str, ranks: Ranks
    ) -> None:
        if pretext.header.preset != config.preset:
            raise TrainingDataError(
                f"a binary detector of preset {config.preset} cannot be kept near a backbone of preset "
                f"{pretext.header.preset}"
            )
        self.data = data
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.binary = BinaryNetwork(PRESETS[config.preset])
        self.binary.pretext.load_state_dict(pretext.backbone.state_dict())
        self.binary.to(ranks.device)
        learned = nn.ModuleDict({"own": self.binary.own, "classifier": self.binary.classifier})
        self.labels = torch.from_numpy(data.labels)
        super().__init__(config.resolved(data.images), learned, data.batches, data.image_ids, digest, ranks)

    @property
    def patches_per_step(self) -> int:
        """Patches of all images of a step."""
        return self.config.batch_images * self.config.patches

    @property
    def facts(self) -> Mapping[str, int]:
        """How many images were trained on."""
        return {"photographs": self.data.trained[0], "generated": self.data.trained[1]}

    def _given(self, patches: NDArray[Any]) -> Tensor:
        """Patches (B, N, 64, 64, 3) as the network takes them."""
        given = torch.from_numpy(patches).to(self.ranks.device, non_blocking=True)
        return given.permute(0, 1, 4, 2, 3).float() / 255

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy and, where alpha is not 0, alpha times the summed tap distances, of the whole batch."""
        given = self._given(batch.patches)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.ranks.device.type == "cuda"):
            if self.config.alpha:
                logits, distances = self.binary.learn(given)
            else:
                logits, distances = self.binary(given), None
        everyone = self.ranks.gather(logits.float())
        labels = self.ranks.gather(self.labels[batch.rows][:, None].to(self.ranks.device)).squeeze(1)
        parts = {CROSS_ENTROPY: F.cross_entropy(everyone, labels)}
        if distances is not None:
            # Every rank has as many patches, so the mean of the ranks' means is that of all.
            parts[TAP_DISTANCE] = self.config.alpha * self.ranks.gather(distances.sum().view(1, 1)).mean()
        return parts

    def judge(self) -> Judged:
        """Cross-entropy and accuracy on the held-out images, each the mean of both classes' own."""
        logits, labels = [], []
        for batch in self.data.validation:
            logits.append(self.binary(self._given(batch.patches)).double().cpu())
            labels.append(self.labels[batch.rows])
        said, true = torch.cat(logits), torch.cat(labels)
        losses = F.cross_entropy(said, true, reduction="none")
        right = (said.argmax(dim=1) == true).double()
        by_class = [(losses[true == label].mean().item(), right[true == label].mean().item()) for label in CLASSES]
        loss, accuracy = (sum(values) / len(CLASSES) for values in zip(*by_class, strict=True))
        found = {"accuracy": accuracy, CROSS_ENTROPY: loss}
        # Of a few images accuracy takes few values, and many steps would be equally good.
        return Judged(-loss, {**found, "images": len(true)}, found, found)

    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the whole network, the pretext backbone too."""
        preset = self.config.preset
        save_binary(path, self.binary, Header("trained", preset, PRESETS[preset], None, provenance, metrics))
