"""A run that trains the backbone on the pretext task: what it learns from, its losses, and how it is judged.

What every run has, from the optimiser to its checkpoints, is in `run`; the loop, and the files a run leaves, are in
`train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.crops import Batch, CropShards, TrainingBatches, validation_batches
from models.pretext import (
    CATEGORICAL,
    TAGS,
    TRAINING_FOLDS,
    VALIDATION_FOLD,
    PretextHeads,
    Targets,
    losses,
    read_targets,
)
from models.ranks import Ranks
from models.run import Judged, Run, TrainingDataError
from models.train_config import TrainConfig
from models.validation import score, validate
from models.weights import Header, save_backbone, untrained

MINIMUM_PHOTOGRAPHS = 16


@dataclass(frozen=True)
class Data:
    """What a run learns from and is judged on."""

    targets: Targets
    codes: Tensor
    values: Tensor
    batches: TrainingBatches
    validation: list[Batch]


def read_data(config: TrainConfig, crop_shards: Sequence[Path], targets_path: Path, ranks: Ranks) -> Data:
    """Targets, training batches of this rank's share, and validation batches.

    TargetsError, CropsError; TrainingDataError for too few photographs or a batch the ranks cannot share.
    """
    if config.batch_photos % ranks.count:
        raise TrainingDataError(f"{config.batch_photos} photographs a step cannot be shared by {ranks.count} ranks")
    targets = read_targets(targets_path)
    codes = targets.codes(targets.vocabulary())
    usable = np.logical_or((codes >= 0).any(axis=1), ~np.isnan(targets.values).all(axis=1))

    def shards(folds: Sequence[int], least: int) -> CropShards:
        rows = np.intersect1d(targets.rows(folds), np.flatnonzero(usable)).tolist()
        found = CropShards(crop_shards, {targets.photo_ids[row]: row for row in rows})
        if len(found.rows) < least:
            raise TrainingDataError(
                f"{len(found.rows)} photographs with tags and crops in folds {list(folds)}, at least {least} are "
                "needed; add photographs of more sources to the corpus"
            )
        return found

    batches = TrainingBatches(
        shards(TRAINING_FOLDS, MINIMUM_PHOTOGRAPHS),
        config.seed,
        config.batch_photos,
        config.patches,
        config.memory_bytes,
        ranks.rank,
        ranks.count,
    )
    held_out = validation_batches(
        shards([VALIDATION_FOLD], 2),
        config.validation_photos,
        config.validation_patches,
        config.batch_photos,
        config.seed,
    )
    return Data(targets, torch.from_numpy(codes), torch.from_numpy(targets.values), batches, list(held_out))


class TrainingRun(Run[TrainConfig]):
    """One run of the pretext task; its network is a backbone and the 14 heads."""

    weights_file = "backbone.safetensors"

    def __init__(self, config: TrainConfig, data: Data, digest: str, ranks: Ranks) -> None:
        self.data = data
        self.vocabulary = data.targets.vocabulary()
        backbone = untrained(config.preset, config.seed)
        if config.start == "differences":
            backbone.stem.start_on_colour_differences()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            heads = PretextHeads(backbone.config.dimension, self.vocabulary)
        self.backbone, self.heads = backbone.to(ranks.device), heads.to(ranks.device)
        network = nn.ModuleDict({"backbone": self.backbone, "heads": self.heads})
        super().__init__(config, network, data.batches, data.targets.photo_ids, digest, ranks)

    @property
    def patches_per_step(self) -> int:
        """Patches of all photographs of a step."""
        return self.config.batch_photos * self.config.patches

    def outputs(self, patches: NDArray[np.uint8]) -> dict[str, Tensor]:
        """What the heads say of photographs, given as patches (B, N, 64, 64, 3)."""
        given = torch.from_numpy(patches).to(self.ranks.device, non_blocking=True).permute(0, 1, 4, 2, 3).float() / 255
        with torch.autocast("cuda", torch.bfloat16, enabled=self.ranks.device.type == "cuda"):
            features = self.backbone.image_features(given)
        found: dict[str, Tensor] = self.heads(features.float())
        return found

    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """Losses by tag of the whole batch of all ranks, of which `batch` is this rank's share."""
        found = self.outputs(batch.patches)
        widths = [found[tag].shape[1] if tag in CATEGORICAL else 1 for tag in TAGS]
        together = self.ranks.gather(torch.cat([found[tag].reshape(len(batch.rows), -1) for tag in TAGS], dim=1))
        parts = dict(zip(TAGS, torch.split(together, widths, dim=1), strict=True))
        everyone = {tag: part if tag in CATEGORICAL else part.squeeze(1) for tag, part in parts.items()}
        rows = self.ranks.gather(torch.from_numpy(batch.rows)[:, None].to(self.ranks.device)).squeeze(1).cpu()
        device = self.ranks.device
        return losses(everyone, self.data.codes[rows].to(device), self.data.values[rows].to(device))

    def judge(self) -> Judged:
        """Judge the photographs of the validation fold, tag by tag."""
        outputs: dict[str, list[NDArray[np.float64]]] = {tag: [] for tag in TAGS}
        for batch in self.data.validation:
            for tag, output in self.outputs(batch.patches).items():
                outputs[tag].append(output.double().cpu().numpy())
        rows = np.concatenate([batch.rows for batch in self.data.validation])
        joined = {tag: np.concatenate(parts) for tag, parts in outputs.items()}
        table = validate(joined, self.data.targets, rows, self.vocabulary, self.config.seed)
        by_tag = {
            tag: {"accuracy": entry.get("accuracy"), "within_groups": entry.get("within_group_accuracy")}
            for tag, entry in table.items()
        }
        accuracies = {tag: entry.get("accuracy") for tag, entry in table.items()}
        return Judged(score(table), table, {"tags": by_tag}, {"accuracy": accuracies})

    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write backbone and heads."""
        header = Header("trained", self.config.preset, self.backbone.config, self.vocabulary, provenance, metrics)
        save_backbone(path, self.backbone, self.heads, header)
