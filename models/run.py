"""What every training run has: its weights, how far it is, and what is done to it: a step, a validation, a checkpoint.

Here belong the optimiser, the guard against losses that are no number, the best weights so far, and what a checkpoint
holds. What is learned is in `training_run` and `binary_run`, the loop that decides when each is done in `train`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.crops import Batch
from models.ranks import Ranks
from models.train_config import RunConfig

CURVE_POINTS = 100


class TrainingDataError(ValueError):
    """Too few images or crops to train on, or a batch that the ranks cannot share; the message says what to do."""


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient became infinite or no number; the message says at which step, and in which part."""


@dataclass(frozen=True)
class Judged:
    """One validation: the score that chooses the weights (higher is better), and the table behind it.

    `entry` is what the history of validations keeps of the table, `report` what is said of it at once.
    """

    score: float
    table: Mapping[str, Any]
    entry: Mapping[str, Any]
    report: Mapping[str, Any]


class Batches(Protocol):
    """Batches without end: batch k is a function of the seed and k."""

    @property
    def waited_seconds(self) -> float:
        """What those who took batches had to wait for them."""
        ...

    def from_step(self, step: int) -> Generator[Batch, None, None]:
        """Batches from the given step on."""
        ...

    def close(self) -> None:
        """End the threads."""
        ...


def job_digest(
    config: RunConfig, crop_shards: Sequence[Path], files: Sequence[Path], left_out: str | None = None
) -> str:
    """What a checkpoint must agree in to be continued: configuration, other files, names and sizes of shards.

    `minutes` and `threads` may differ: they say when a run pauses and how fast it is, and of the weights no more than
    the last digits.
    """
    shards = sorted((path.name, path.stat().st_size) for path in crop_shards)
    asked = {key: value for key, value in asdict(config).items() if key not in ("minutes", "threads")}
    digest = hashlib.sha256(json.dumps([asked, shards, left_out], sort_keys=True).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _optimiser(network: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """AdamW whose weight decay is on the weights of convolutions and linear layers alone."""
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    groups = [
        {"params": [p for p in network.parameters() if id(p) in decayed], "weight_decay": config.weight_decay},
        {"params": [p for p in network.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


Config = TypeVar("Config", bound=RunConfig)


class Run(ABC, Generic[Config]):
    """One run: the network it learns, how far it is, and what it has measured. `state` holds all of it.

    `images` names the image of a row of a batch.
    """

    weights_file: ClassVar[str]
    _PLAIN = ("digest", "step", "curve", "pending", "validations", "best")

    def __init__(
        self,
        config: Config,
        network: nn.Module,
        batches: Batches,
        images: Sequence[str],
        digest: str,
        ranks: Ranks,
    ) -> None:
        self.config, self.network, self.images, self.ranks = config, network, images, ranks
        self.source = batches
        self.optimiser = _optimiser(network, config)
        # A checkpoint must also be of this network: a preset may have been built otherwise when it was written.
        shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        self.digest = hashlib.sha256(json.dumps([digest, shapes]).encode()).hexdigest()
        self.step = 0
        self.curve: list[dict[str, Any]] = []
        self.pending: list[list[float]] = []
        self.validations: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None

    @property
    @abstractmethod
    def patches_per_step(self) -> int:
        """Patches that all ranks together learn from in a step."""

    @property
    def facts(self) -> Mapping[str, int]:
        """Plain facts for the metrics, beside what was measured."""
        return {}

    @abstractmethod
    def losses_of(self, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss, by name, of the whole batch of all ranks, of which `batch` is this rank's share."""

    @abstractmethod
    def judge(self) -> Judged:
        """Judge the held-out images; the network is in evaluation mode, and no gradient is kept."""

    @abstractmethod
    def save(self, path: Path, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the network with a header that says where it comes from and how it was judged."""

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or `patience` validations brought nothing better."""
        patience = self.config.patience
        since_best = [entry for entry in self.validations if self.best and entry["step"] > self.best["step"]]
        return self.step >= self.config.steps or bool(patience and len(since_best) >= patience)

    def batches(self) -> Generator[Batch, None, None]:
        """The batches that are still to come."""
        return self.source.from_step(self.step)

    def gradients_of(self, batch: Batch) -> dict[str, float]:
        """The parts of the loss; every parameter's gradient of their sum over the whole batch. NonFiniteLossError."""
        parts = self.losses_of(batch)
        total = torch.stack(list(parts.values())).sum()
        if not total.isfinite():
            names = [name for name, loss in parts.items() if not loss.isfinite()]
            raise self._not_finite(f"the loss of {', '.join(names)}", batch)
        self.optimiser.zero_grad()
        torch.autograd.backward(total)
        self.ranks.sum_gradients(self.network.parameters())
        return {name: loss.item() for name, loss in parts.items()}

    def _not_finite(self, what: str, batch: Batch) -> NonFiniteLossError:
        named = ", ".join(self.images[row][:12] for row in batch.rows[:4])
        return NonFiniteLossError(
            f"step {self.step + 1}: {what} is not finite (images {named}, ...); lower the learning rate"
        )

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step; the parts of the loss. NonFiniteLossError before the weights take harm."""
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
            parts = {name: round(float(mean), 6) for name, mean in zip(values, means, strict=True)}
            self.curve.append({"step": self.step, "loss": round(sum(parts.values()), 6), "losses": parts})
            self.pending = []

    def validate(self) -> Judged:
        """Judge the held-out images; keep the weights if they are the best so far."""
        self.network.eval()
        with torch.inference_mode():
            judged = self.judge()
        self.network.train()
        self.validations.append({"step": self.step, "score": judged.score, **judged.entry})
        if self.best is None or judged.score > self.best["score"]:
            weights = {key: tensor.detach().cpu().clone() for key, tensor in self.network.state_dict().items()}
            self.best = {"step": self.step, "score": judged.score, "table": judged.table, "weights": weights}
        return judged

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
