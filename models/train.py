"""The training program of the backbone and of the binary detector.

Here belongs the loop: when a step, a validation, a checkpoint and a report are due, and the files a run leaves. It
reports through a callback and knows nothing of who listens. What a run is, is in `run`, what each learns in
`training_run` and `binary_run`, checkpoints in `checkpoints`, several processes in `ranks`, the weights' format in
`weights`. `python -m models.train job.json` runs a job and prints a JSON line a report;
`torchrun --nproc-per-node N -m models.train job.json` runs it in N processes, on one machine or on several, which must
see the same crops. SIGTERM to any has all of them end with a checkpoint: status 143, or 1 of torchrun itself.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.allocator import keep_freed_memory
from models.autoencoder_run import AutoencodersRun, load_autoencoders
from models.binary_config import BinaryConfig
from models.binary_data import read_binary_data
from models.binary_run import BinaryRun
from models.checkpoints import newest_checkpoint, remove_checkpoints, remove_unfinished, write_checkpoint
from models.coding_config import CodingConfig
from models.coding_run import CodingRun
from models.crops import Batch
from models.ranks import LostRankError, Ranks, joined_ranks
from models.reconstruction_config import AutoencoderConfig, ReconstructionConfig
from models.reconstruction_run import ReconstructionRun
from models.run import NonFiniteLossError, Run, TrainingDataError, job_digest
from models.stopping import PARENT_VARIABLE, STOPPED, TrainingStoppedError, end_with_parent, stop_when_signalled
from models.threads import torch_threads
from models.train_config import TrainConfig
from models.training_run import TrainingRun, read_data
from models.view_batches import ViewData, read_views
from models.views import MARGIN
from models.weights import load_backbone, write_atomically

METRICS_FILE = "metrics.json"
PRETEXT, BINARY, AUTOENCODERS, RECONSTRUCTION = "pretext", "binary", "autoencoders", "reconstruction"
CODING = "coding"
"""Tasks that a job may name."""

REPORT_SECONDS = 5.0
CHECKPOINT_SECONDS = 60.0

Report = Callable[[dict[str, Any]], None]


class NotWrittenError(OSError):
    """What training has learned could not be written; the message says what to do."""


PLAIN_ERRORS = (ValueError, NonFiniteLossError, NotWrittenError, LostRankError)
"""Errors whose message is all that a person needs to mend them."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves: its files, the steps done, and the validation of the kept weights.

    `patches_per_second` and `waited`, the share of the time in which the network waited for data, are of the training
    steps of this process alone, and stand in no file.
    """

    weights_path: Path
    metrics_path: Path
    steps: int
    best_step: int
    score: float
    validation: Mapping[str, Any]
    patches_per_second: float
    waited: float


def train(
    config: TrainConfig,
    crop_shards: Sequence[Path],
    targets_path: Path,
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Train a backbone on the crops of folds 0-2, judge it on fold 3, write weights and metrics to `out_dir`.

    `report` gets a dictionary of plain values some seconds apart and at every validation. The weights kept are those of
    the best validation. `stop` is asked after every step. A checkpoint of the same job in `out_dir` is continued: on a
    processor the run ends in the same bytes as one that was never interrupted. A finished run removes it. A checkpoint
    that cannot be written is reported; the one before stays, and training goes on. With several `ranks` each calls this
    with its own, and the first alone reports, reads checkpoints and writes; every batch, loss and gradient is that of
    one rank, and a checkpoint may be continued by another number of ranks.

    TargetsError, CropsError, TrainingDataError when the data do not do; NonFiniteLossError and LostRankError, the last
    good state kept as a checkpoint, the latter by the first rank, if it is not the one that was lost;
    TrainingStoppedError when asked to stop or after `config.minutes`; NotWrittenError when the weights cannot be
    written, the checkpoint kept.
    """
    ranks = ranks or Ranks()
    keep_freed_memory()
    with torch_threads(config.threads):
        data = read_data(config, crop_shards, targets_path, ranks)
        run = TrainingRun(config, data, job_digest(config, crop_shards, [targets_path]), ranks)
        return _whole(run, out_dir, report, stop, provenance)


def train_binary(
    config: BinaryConfig,
    crop_shards: Sequence[Path],
    images_path: Path,
    pretext_path: Path,
    left_out: str | None,
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Train a binary detector on the crops of the images of part `train`, never on the generator `left_out`.

    `pretext_path` holds the backbone that it is kept near. An eighth of the images of each class chooses the weights.
    All else is as in `train`: the same reports, checkpoints and files. CropsError, TrainingDataError, WeightsError when
    what is given does not do.
    """
    ranks = ranks or Ranks()
    keep_freed_memory()
    with torch_threads(config.threads):
        pretext = load_backbone(pretext_path)
        data = read_binary_data(config, crop_shards, images_path, left_out, ranks)
        digest = job_digest(config, crop_shards, [images_path, pretext_path], left_out)
        return _whole(BinaryRun(config, data, pretext, digest, ranks), out_dir, report, stop, provenance)


def train_autoencoders(
    config: AutoencoderConfig,
    crop_shards: Sequence[Path],
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Train autoencoders of all makes on views of the crops of folds 0-2; all else is as in `train`, in one process."""
    ranks = _alone(ranks)
    keep_freed_memory()
    with torch_threads(config.threads):
        data = _views(config, crop_shards, config.side, config.batch)
        run = AutoencodersRun(config, data, job_digest(config, crop_shards, []), ranks)
        return _whole(run, out_dir, report, stop, provenance)


def train_reconstruction(
    config: ReconstructionConfig,
    crop_shards: Sequence[Path],
    autoencoders_path: Path,
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Train a network to tell views of the crops of folds 0-2 from their reconstructions; all else is as in `train`.

    It is judged on fold 3 and on makes of autoencoders that it has not seen. In one process.
    """
    ranks = _alone(ranks)
    keep_freed_memory()
    with torch_threads(config.threads):
        data = _views(config, crop_shards, config.side + MARGIN, config.pairs)
        digest = job_digest(config, crop_shards, [autoencoders_path])
        run = ReconstructionRun(config, data, load_autoencoders(autoencoders_path), digest, ranks)
        return _whole(run, out_dir, report, stop, provenance)


def train_coding(
    config: CodingConfig,
    crop_shards: Sequence[Path],
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    provenance: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> TrainResult:
    """Train the network that predicts JPEG's coefficients of views of the crops of folds 0-2, judge it on fold 3.

    All else is as in `train`, in one process.
    """
    ranks = _alone(ranks)
    keep_freed_memory()
    with torch_threads(config.threads):
        data = _views(config, crop_shards, config.side + MARGIN, config.batch)
        run = CodingRun(config, data, job_digest(config, crop_shards, []), ranks)
        return _whole(run, out_dir, report, stop, provenance)


def _views(
    config: AutoencoderConfig | ReconstructionConfig | CodingConfig, crop_shards: Sequence[Path], side: int, size: int
) -> ViewData:
    """Batches of `size` views of `side` px, and those that judge."""
    return read_views(crop_shards, side, size, config.seed, config.validation_photos, config.memory_bytes)


def _whole(
    run: Run[Any],
    out_dir: Path,
    report: Report,
    stop: Callable[[], bool],
    provenance: Mapping[str, Any] | None,
) -> TrainResult:
    """A run from its checkpoint, if any, to its files; the first rank alone reports. Its batches are closed."""
    with closing(run.source):
        return _Loop(run, out_dir, report if run.ranks.first else lambda _: None, stop).whole(provenance or {})


def _alone(ranks: Ranks | None) -> Ranks:
    if ranks is not None and ranks.count > 1:
        raise TrainingDataError(f"this is trained in one process, not in {ranks.count}")
    return ranks or Ranks()


class _Loop:
    """When things are due in a run."""

    def __init__(self, run: Run[Any], folder: Path, report: Report, stop: Callable[[], bool]) -> None:
        self.run, self.folder, self.report, self.stop = run, folder, report, stop
        self.started = self.saved = time.monotonic()
        self.reported = -math.inf
        self.first_step = run.step
        self.training_seconds = 0.0
        self.ended = False

    def whole(self, provenance: Mapping[str, Any]) -> TrainResult:
        """All of it: what a checkpoint holds, the steps that are left, and the files at the end."""
        self.restore()
        self.to_the_end()
        return self.finish(provenance)

    def restore(self) -> None:
        """Go on from the newest usable checkpoint; TrainingDataError where the ranks were not given the same job."""
        # As many digits of it as a number holds exactly.
        if not self.run.ranks.same(int(self.run.digest[:12], 16)):
            raise TrainingDataError(
                "the ranks were given different jobs: configuration, crops and targets must be the same for all"
            )
        # By the first rank alone: on others a network file system may still show the folder as it was a minute ago.
        state = self.run.ranks.from_first(lambda: newest_checkpoint(self.folder, self.run.digest, self.report))
        if state is not None:
            self.run.restore(state)
            self.first_step = self.run.step
            self.report({"event": "continued", "step": self.run.step})
        self.ended = self.run.finished

    @property
    def rate(self) -> float:
        """Patches a second of the training steps since this process began."""
        patches = (self.run.step - self.first_step) * self.run.patches_per_step
        return patches / self.training_seconds if self.training_seconds else 0.0

    @property
    def waited(self) -> float:
        """Share of the time of these steps in which the network waited for data."""
        return self.run.source.waited_seconds / self.training_seconds if self.training_seconds else 0.0

    def to_the_end(self) -> None:
        """Step by step until the run is finished or interrupted."""
        batches = self.run.batches()
        with closing(batches):
            try:
                while not self.ended:
                    self._step(batches)
            except (NonFiniteLossError, LostRankError):
                self._save()
                raise

    def _step(self, batches: Iterator[Batch]) -> None:
        """A step, and what is due after it."""
        run = self.run
        started = time.monotonic()
        values = run.train_step(next(batches))
        now = time.monotonic()
        self.training_seconds += now - started
        if now - self.reported >= REPORT_SECONDS:
            self.reported = now
            self.report(self._progress(values))
        if run.step % run.config.validation_every == 0 or run.step == run.config.steps:
            self._validate()
        self._interrupt()
        if time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self._save()

    def _interrupt(self) -> None:
        """TrainingStoppedError where any rank was asked to stop or the minutes are over, the checkpoint written."""
        if self.ended:
            return
        minutes = self.run.config.minutes
        over = minutes is not None and time.monotonic() - self.started >= 60 * minutes
        if self.run.ranks.agree(over or self.stop()):
            self._save()
            why = f"{minutes:g} minutes are over: " if over else ""
            raise TrainingStoppedError(f"{why}stopped after step {self.run.step}; run the same job again to go on")

    def _save(self) -> None:
        self.saved = time.monotonic()
        if not self.run.ranks.first:
            return
        try:
            write_checkpoint(self.folder, self.run.state())
        except OSError as error:
            self.report({"event": "checkpoint_not_written", "step": self.run.step, "message": str(error)})

    def _progress(self, values: Mapping[str, float]) -> dict[str, Any]:
        run = self.run
        left = self.training_seconds / (run.step - self.first_step) * (run.config.steps - run.step)
        return {
            "event": "progress",
            "step": run.step,
            "steps": run.config.steps,
            "loss": round(sum(values.values()), 4),
            "losses": {name: round(value, 4) for name, value in values.items()},
            "patches_per_second": round(self.rate, 1),
            "seconds_left": round(left),
        }

    def _validate(self) -> None:
        judged = self.run.validate()
        # Ranks on different hardware may judge by a rounding apart; none may go on alone.
        self.ended = self.run.ranks.agree(self.run.finished)
        self.report(
            {
                "event": "validation",
                "step": self.run.step,
                "score": judged.score,
                **judged.report,
                "waited": round(self.waited, 4),
            }
        )

    def finish(self, provenance: Mapping[str, Any]) -> TrainResult:
        """Write the best weights and the metrics, then remove the checkpoints. NotWrittenError."""
        run = self.run
        try:
            result = _write(run, self.folder, self.rate, self.waited, provenance)
        except OSError as error:
            self._save()
            raise NotWrittenError(
                f"the trained weights cannot be written to {self.folder} ({error.strerror or error}); make room there "
                "and run the same job again: it goes on from its checkpoint"
            ) from error
        self.report(
            {
                "event": "finished",
                "step": run.step,
                "best_step": result.best_step,
                "score": result.score,
                "patches_per_second": round(result.patches_per_second, 1),
                "waited": round(result.waited, 4),
            }
        )
        return result


def _write(run: Run[Any], out_dir: Path, rate: float, waited: float, provenance: Mapping[str, Any]) -> TrainResult:
    """The files of a finished run; the first rank writes them."""
    assert run.best is not None
    run.network.load_state_dict(run.best["weights"])
    metrics = {
        **run.facts,
        "steps": run.step,
        "best_step": run.best["step"],
        "score": run.best["score"],
        "validation": run.best["table"],
        "validations": run.validations,
        "curve": run.curve,
    }
    summary = {name: metrics[name] for name in ("steps", "best_step", "score", "validation")}
    if run.ranks.first:
        run.save(out_dir / run.weights_file, {**provenance, "training": asdict(run.config)}, summary)
        write_atomically(out_dir / METRICS_FILE, json.dumps(metrics, indent=1).encode())
        for name in (run.weights_file, METRICS_FILE):
            remove_unfinished(out_dir / name)
        remove_checkpoints(out_dir)
    return TrainResult(
        weights_path=out_dir / run.weights_file,
        metrics_path=out_dir / METRICS_FILE,
        steps=run.step,
        best_step=run.best["step"],
        score=run.best["score"],
        validation=run.best["table"],
        patches_per_second=rate,
        waited=waited,
    )


def run_job(
    job: Mapping[str, Any], report: Report, stop: Callable[[], bool] = lambda: False, ranks: Ranks | None = None
) -> TrainResult:
    """Run a job `{"task": ..., "config": {...}, "crop_shards": [...], "out": ..., "provenance": {...}, ...}`.

    The task "pretext", which is meant where none is named, has fields of `TrainConfig` as `config` and a path
    `targets`; the task "binary" fields of `BinaryConfig`, paths `images` and `pretext`, and may have `left_out`.
    The tasks "autoencoders" and "coding" have fields of `AutoencoderConfig` and `CodingConfig`; "reconstruction" those
    of `ReconstructionConfig` and the path `autoencoders`. `provenance` may be absent. ValueError for another task.
    """
    shards, out = [Path(shard) for shard in job["crop_shards"]], Path(job["out"])
    task, provenance = job.get("task", PRETEXT), job.get("provenance")
    if task == PRETEXT:
        config, targets = TrainConfig(**job["config"]), Path(job["targets"])
        return train(config, shards, targets, out, report, stop, provenance, ranks)
    if task == BINARY:
        binary, images, pretext = BinaryConfig(**job["config"]), Path(job["images"]), Path(job["pretext"])
        return train_binary(binary, shards, images, pretext, job.get("left_out"), out, report, stop, provenance, ranks)
    if task == AUTOENCODERS:
        return train_autoencoders(AutoencoderConfig(**job["config"]), shards, out, report, stop, provenance, ranks)
    if task == RECONSTRUCTION:
        asked, makes = ReconstructionConfig(**job["config"]), Path(job["autoencoders"])
        return train_reconstruction(asked, shards, makes, out, report, stop, provenance, ranks)
    if task == CODING:
        return train_coding(CodingConfig(**job["config"]), shards, out, report, stop, provenance, ranks)
    known = ", ".join((PRETEXT, BINARY, AUTOENCODERS, RECONSTRUCTION, CODING))
    raise ValueError(f"no task {task!r}; there are {known}")


def main(job: Path) -> None:
    """Run the job in a file. The exit status is 143 when it was stopped, 1 with a sentence when it cannot run."""
    stop = stop_when_signalled()
    if PARENT_VARIABLE in os.environ:
        end_with_parent(int(os.environ[PARENT_VARIABLE]))
    try:
        with joined_ranks() as ranks:
            run_job(json.loads(job.read_text()), lambda progress: print(json.dumps(progress), flush=True), stop, ranks)
    except TrainingStoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(STOPPED)
    except PLAIN_ERRORS as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
