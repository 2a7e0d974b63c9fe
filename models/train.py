"""The training program of the backbone.

Here belongs the loop: batches, optimiser, learning rate, validation, checkpoints and the files it leaves. It
reports through a callback and knows nothing of who listens. Losses are in `pretext`, batches in `crops`,
validation in `validation`, the weights' format in `weights`. `python -m models.train job.json` runs a job and
prints a JSON line a report.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.allocator import keep_freed_memory
from models.crops import Batch, CropShards, InMemory, Source, Streamed, validation_batches
from models.pretext import TAGS, TRAINING_FOLDS, VALIDATION_FOLD, PretextHeads, Targets, losses, read_targets
from models.train_config import TrainConfig
from models.validation import TagValidation, score, validate
from models.weights import Header, save_backbone, untrained, write_atomically

BACKBONE_FILE = "backbone.safetensors"
METRICS_FILE = "metrics.json"
CHECKPOINT_FILE = "checkpoint.pt"

MINIMUM_PHOTOGRAPHS = 16
REPORT_SECONDS = 5.0
CHECKPOINT_SECONDS = 60.0
CURVE_POINTS = 100
GRADIENT_NORM = 1.0

Report = Callable[[dict[str, Any]], None]


class TrainingDataError(ValueError):
    """Too few photographs or crops to train on; the message says what to do."""


class NonFiniteLossError(ArithmeticError):
    """The loss became infinite or no number; the message says at which step and in which tag."""


class TrainingStoppedError(RuntimeError):
    """Training was asked to stop; its checkpoint is kept, and the same job goes on from it."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves: its files, the steps done, and the validation of the kept weights."""

    backbone_path: Path
    metrics_path: Path
    steps: int
    best_step: int
    score: float
    validation: dict[str, TagValidation]
    patches_per_second: float
    seconds: float


@dataclass(frozen=True)
class _Data:
    targets: Targets
    codes: Tensor
    values: Tensor
    source: Source
    validation: list[Batch]


def _read(config: TrainConfig, crop_shards: Sequence[Path], targets_path: Path) -> _Data:
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

    training, held_out = shards(TRAINING_FOLDS, MINIMUM_PHOTOGRAPHS), shards([VALIDATION_FOLD], 2)
    source: Source
    if training.fit(config.memory_bytes):
        source = InMemory(training, config.seed, config.threads)
    else:
        source = Streamed(training, config.seed)
    batches = validation_batches(
        held_out, config.validation_photos, config.validation_patches, config.batch_photos, config.seed
    )
    return _Data(targets, torch.from_numpy(codes), torch.from_numpy(targets.values), source, list(batches))


def _digest(config: TrainConfig, crop_shards: Sequence[Path], targets_path: Path) -> str:
    """What a checkpoint must agree in to be continued: configuration, targets, names and sizes of shards."""
    shards = sorted((path.name, path.stat().st_size) for path in crop_shards)
    digest = hashlib.sha256(json.dumps([asdict(config), shards], sort_keys=True).encode())
    digest.update(targets_path.read_bytes())
    return digest.hexdigest()


def _to_input(patches: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(patches).permute(0, 1, 4, 2, 3).float() / 255


def _optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW whose weight decay is on the weights of convolutions and linear layers alone."""
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    groups = [
        {"params": [p for p in network.parameters() if id(p) in decayed], "weight_decay": config.weight_decay},
        {"params": [p for p in network.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


class _Run:
    """State of one run: what a checkpoint holds."""

    def __init__(self, config: TrainConfig, data: _Data, digest: str) -> None:
        self.config, self.data, self.digest = config, data, digest
        self.vocabulary = data.targets.vocabulary()
        backbone = untrained(config.preset, config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            heads = PretextHeads(backbone.config.dimension, self.vocabulary)
        self.backbone, self.heads = backbone, heads
        self.network = nn.ModuleDict({"backbone": backbone, "heads": heads})
        self.optimiser = _optimiser(self.network, config)
        self.step = 0
        self.seconds = 0.0
        self.curve: list[dict[str, Any]] = []
        self.pending: list[list[float]] = []
        self.validations: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None

    @property
    def progress(self) -> float:
        """Share of the run that is done, by steps or by time."""
        by_time = self.seconds / (60 * self.config.minutes) if self.config.minutes else 0.0
        return min(1.0, max(self.step / self.config.steps, by_time))

    def train_step(self) -> dict[str, float]:
        """One step; the losses by tag. NonFiniteLossError before the weights take harm."""
        batch = self.data.source.batch(self.config.batch_photos, self.config.patches)
        rows = torch.from_numpy(batch.rows)
        done, warmup = self.progress, self.config.warmup
        rise = min(1.0, (done + 1 / self.config.steps) / warmup) if warmup else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * done))
        features = self.backbone(_to_input(batch.patches))[:, 0]
        by_tag = losses(self.heads(features), self.data.codes[rows], self.data.values[rows])
        total = torch.stack(list(by_tag.values())).sum()
        if not total.isfinite():
            names = [tag for tag, loss in by_tag.items() if not loss.isfinite()]
            photos = ", ".join(self.data.targets.photo_ids[row][:12] for row in batch.rows[:4])
            raise NonFiniteLossError(
                f"step {self.step + 1}: the loss of {', '.join(names)} is not finite (photographs {photos}, ...); "
                "lower the learning rate"
            )
        self.optimiser.zero_grad()
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.optimiser.step()
        self.step += 1
        values = {tag: loss.item() for tag, loss in by_tag.items()}
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
                for tag, output in self.heads(self.backbone(_to_input(batch.patches))[:, 0]).items():
                    outputs[tag].append(output.double().numpy())
        self.network.train()
        rows = np.concatenate([batch.rows for batch in self.data.validation])
        joined = {tag: np.concatenate(parts) for tag, parts in outputs.items()}
        table = validate(joined, self.data.targets, rows, self.vocabulary, self.config.seed)
        self.validations.append({"step": self.step, "score": score(table)})
        if self.best is None or score(table) > self.best["score"]:
            weights = {key: tensor.detach().clone() for key, tensor in self.network.state_dict().items()}
            self.best = {"step": self.step, "score": score(table), "table": table, "weights": weights}
        return table

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        buffer = io.BytesIO()
        state = {name: getattr(self, name) for name in self._PLAIN}
        state["network"] = self.network.state_dict()
        state["optimiser"] = self.optimiser.state_dict()
        state["source"] = self.data.source.state()
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    _PLAIN = ("digest", "step", "seconds", "curve", "pending", "validations", "best")

    def restore(self, path: Path) -> bool:
        """Go on from a checkpoint; False, and nothing changed, if it is of another job."""
        state = torch.load(path, weights_only=True)
        if state["digest"] != self.digest:
            return False
        for name in self._PLAIN:
            setattr(self, name, state[name])
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.data.source.restore(state["source"])
        return True


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    config: TrainConfig,
    crop_shards: Sequence[Path],
    targets_path: Path,
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Train a backbone on the crops of folds 0-2, judge it on fold 3, write weights and metrics to `out_dir`.

    `report` gets a dictionary of plain values some seconds apart and at every validation. The weights kept are
    those of the best validation. `stop` is asked after every step. A checkpoint of the same job in `out_dir`
    is continued, exactly so where the crops fit into memory; a finished run removes it.

    TargetsError, CropsError, TrainingDataError when the data do not do; NonFiniteLossError;
    TrainingStoppedError when asked to stop.
    """
    keep_freed_memory()
    with _threads(config.threads):
        digest = _digest(config, crop_shards, targets_path)
        run = _Run(config, _read(config, crop_shards, targets_path), digest)
        checkpoint = out_dir / CHECKPOINT_FILE
        if checkpoint.exists():
            continued = run.restore(checkpoint)
            report({"event": "continued" if continued else "checkpoint_of_another_job", "step": run.step})
        speed = _loop(run, checkpoint, report, stop)
        result = _finish(run, out_dir, speed, provenance or {})
    report({"event": "finished", "step": run.step, "best_step": result.best_step, "score": result.score})
    return result


def _loop(run: _Run, checkpoint: Path, report: Report, stop: Callable[[], bool]) -> float:
    """Run to the end of steps or minutes; patches per second of the training steps."""
    reported, saved = -math.inf, time.monotonic()
    before, first, training_seconds = run.seconds, run.step, 0.0
    started = time.monotonic()
    while run.progress < 1:
        step_started = time.monotonic()
        values = run.train_step()
        now = time.monotonic()
        training_seconds += now - step_started
        run.seconds = before + now - started
        rate = (run.step - first) * run.config.batch_photos * run.config.patches / training_seconds
        if now - reported >= REPORT_SECONDS:
            reported = now
            report(_progress(run, values, rate))
        if run.step % run.config.validation_every == 0 or run.progress >= 1:
            _validate(run, report)
        if stop():
            run.save(checkpoint)
            raise TrainingStoppedError(f"stopped after step {run.step}; run the same job again to go on")
        if time.monotonic() - saved >= CHECKPOINT_SECONDS:
            run.save(checkpoint)
            saved = time.monotonic()
    return rate if run.step > first else 0.0


def _progress(run: _Run, values: Mapping[str, float], rate: float) -> dict[str, Any]:
    left = run.seconds / run.progress - run.seconds
    return {
        "event": "progress",
        "step": run.step,
        "steps": run.config.steps,
        "loss": round(sum(values.values()), 4),
        "losses": {tag: round(value, 4) for tag, value in values.items()},
        "patches_per_second": round(rate, 1),
        "seconds_left": round(left),
    }


def _validate(run: _Run, report: Report) -> None:
    table = run.validate()
    accuracies = {tag: entry.get("accuracy") for tag, entry in table.items()}
    report({"event": "validation", "step": run.step, "score": score(table), "accuracy": accuracies})


def _finish(run: _Run, out_dir: Path, speed: float, provenance: Mapping[str, Any]) -> TrainResult:
    """Write the best weights and the metrics, then remove the checkpoint."""
    assert run.best is not None
    run.network.load_state_dict(run.best["weights"])
    metrics = {
        "steps": run.step,
        "best_step": run.best["step"],
        "score": run.best["score"],
        "validation": run.best["table"],
        "validations": run.validations,
        "curve": run.curve,
    }
    header = Header(
        preset=run.config.preset,
        config=run.backbone.config,
        vocabulary=run.vocabulary,
        provenance={**provenance, "training": asdict(run.config)},
        metrics={name: metrics[name] for name in ("steps", "best_step", "score", "validation")},
    )
    save_backbone(out_dir / BACKBONE_FILE, run.backbone, run.heads, header)
    write_atomically(out_dir / METRICS_FILE, json.dumps(metrics, indent=1).encode())
    (out_dir / CHECKPOINT_FILE).unlink(missing_ok=True)
    return TrainResult(
        backbone_path=out_dir / BACKBONE_FILE,
        metrics_path=out_dir / METRICS_FILE,
        steps=run.step,
        best_step=run.best["step"],
        score=run.best["score"],
        validation=run.best["table"],
        patches_per_second=speed,
        seconds=run.seconds,
    )


def run_job(job: Mapping[str, Any], report: Report, stop: Callable[[], bool] = lambda: False) -> TrainResult:
    """Run a job `{"config": {...}, "crop_shards": [...], "targets": ..., "out": ..., "provenance": {...}}`.

    `config` holds fields of `TrainConfig`, `provenance` may be absent; everything else is a path.
    """
    return train(
        TrainConfig(**job["config"]),
        [Path(shard) for shard in job["crop_shards"]],
        Path(job["targets"]),
        Path(job["out"]),
        report,
        stop,
        job.get("provenance"),
    )


if __name__ == "__main__":
    run_job(
        json.loads(Path(sys.argv[1]).read_text()),
        lambda progress: print(json.dumps(progress), flush=True),
    )
