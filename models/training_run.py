"""The state of one training run, and the three things done to it: a step, a validation, a checkpoint.

Here belong the data a run learns from, the optimiser, one step's loss and gradients, and what a checkpoint holds. The
loop that decides when each is done, and the files a run leaves, are in `train`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from models.train_config import TrainConfig
from models.validation import TagValidation, score, validate
from models.weights import untrained

MINIMUM_PHOTOGRAPHS = 16
CURVE_POINTS = 100


class TrainingDataError(ValueError):
    """Too few photographs or crops to train on, or a batch that the ranks cannot share; the message says what to do."""


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient became infinite or no number; the message says at which step, and in which tag."""


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


def job_digest(config: TrainConfig, crop_shards: Sequence[Path], targets_path: Path) -> str:
    """What a checkpoint must agree in to be continued: configuration, targets, names and sizes of shards.

    `minutes` and `threads` may differ: they say when a run pauses and how fast it is, and of the weights no more than
    the last digits.
    """
    shards = sorted((path.name, path.stat().st_size) for path in crop_shards)
    asked = {key: value for key, value in asdict(config).items() if key not in ("minutes", "threads")}
    digest = hashlib.sha256(json.dumps([asked, shards], sort_keys=True).encode())
    digest.update(targets_path.read_bytes())
    return digest.hexdigest()


def _optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW whose weight decay is on the weights of convolutions and linear layers alone."""
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    groups = [
        {"params": [p for p in network.parameters() if id(p) in decayed], "weight_decay": config.weight_decay},
        {"params": [p for p in network.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


class TrainingRun:
    """One run: its network, how far it is, and what it has measured. `state` holds all of it."""

    _PLAIN = ("digest", "step", "curve", "pending", "validations", "best")

    def __init__(self, config: TrainConfig, data: Data, digest: str, ranks: Ranks) -> None:
        self.config, self.data, self.ranks = config, data, ranks
        self.vocabulary = data.targets.vocabulary()
        backbone = untrained(config.preset, config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            heads = PretextHeads(backbone.config.dimension, self.vocabulary)
        self.backbone, self.heads = backbone.to(ranks.device), heads.to(ranks.device)
        self.network = nn.ModuleDict({"backbone": self.backbone, "heads": self.heads})
        self.optimiser = _optimiser(self.network, config)
        # A checkpoint must also be of this network: a preset may have been built otherwise when it was written.
        shapes = {name: list(tensor.shape) for name, tensor in self.network.state_dict().items()}
        self.digest = hashlib.sha256(json.dumps([digest, shapes]).encode()).hexdigest()
        self.step = 0
        self.curve: list[dict[str, Any]] = []
        self.pending: list[list[float]] = []
        self.validations: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or `patience` validations brought nothing better."""
        patience = self.config.patience
        since_best = [entry for entry in self.validations if self.best and entry["step"] > self.best["step"]]
        return self.step >= self.config.steps or bool(patience and len(since_best) >= patience)

    def batches(self) -> Generator[Batch, None, None]:
        """The batches that are still to come."""
        return self.data.batches.from_step(self.step)

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

    def gradients_of(self, batch: Batch) -> dict[str, float]:
        """Losses by tag; every parameter's gradient of their sum over the whole batch. NonFiniteLossError."""
        by_tag = self.losses_of(batch)
        total = torch.stack(list(by_tag.values())).sum()
        if not total.isfinite():
            names = [tag for tag, loss in by_tag.items() if not loss.isfinite()]
            raise self._not_finite(f"the loss of {', '.join(names)}", batch)
        self.optimiser.zero_grad()
        torch.autograd.backward(total)
        self.ranks.sum_gradients(self.network.parameters())
        return {tag: loss.item() for tag, loss in by_tag.items()}

    def _not_finite(self, what: str, batch: Batch) -> NonFiniteLossError:
        photos = ", ".join(self.data.targets.photo_ids[row][:12] for row in batch.rows[:4])
        return NonFiniteLossError(
            f"step {self.step + 1}: {what} is not finite (photographs {photos}, ...); lower the learning rate"
        )

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step; the losses by tag. NonFiniteLossError before the weights take harm."""
        values = self.gradients_of(batch)
        norm = nn.utils.get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None])
        if not norm.isfinite():
            raise self._not_finite("the norm of the gradient", batch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate_of_step(self.step)
        if self.config.gradient_norm is not None:
            nn.utils.clip_grads_with_norm_(self.network.parameters(), self.config.gradient_norm, norm)
        self.optimiser.step()
        self.step += 1
        self._extend_curve(values)
        return values

    def _extend_curve(self, values: Mapping[str, float]) -> None:
        self.pending.append(list(values.values()))
        if len(self.pending) >= max(1, self.config.steps // CURVE_POINTS):
            means = np.mean(self.pending, axis=0)
            by_tag = {tag: round(float(mean), 6) for tag, mean in zip(values, means, strict=True)}
            self.curve.append({"step": self.step, "loss": round(sum(by_tag.values()), 6), "losses": by_tag})
            self.pending = []

    def validate(self) -> dict[str, TagValidation]:
        """Judge the held-out photographs; keep the weights if they are the best so far."""
        outputs: dict[str, list[NDArray[np.float64]]] = {tag: [] for tag in TAGS}
        self.network.eval()
        with torch.inference_mode():
            for batch in self.data.validation:
                for tag, output in self.outputs(batch.patches).items():
                    outputs[tag].append(output.double().cpu().numpy())
        self.network.train()
        rows = np.concatenate([batch.rows for batch in self.data.validation])
        joined = {tag: np.concatenate(parts) for tag, parts in outputs.items()}
        table = validate(joined, self.data.targets, rows, self.vocabulary, self.config.seed)
        by_tag = {
            tag: {"accuracy": entry.get("accuracy"), "within_groups": entry.get("within_group_accuracy")}
            for tag, entry in table.items()
        }
        self.validations.append({"step": self.step, "score": score(table), "tags": by_tag})
        if self.best is None or score(table) > self.best["score"]:
            weights = {key: tensor.detach().cpu().clone() for key, tensor in self.network.state_dict().items()}
            self.best = {"step": self.step, "score": score(table), "table": table, "weights": weights}
        return table

    def state(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened; batches need the step alone."""
        plain = {name: getattr(self, name) for name in self._PLAIN}
        return plain | {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same job."""
        for name in self._PLAIN:
            setattr(self, name, state[name])
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
