"""Checkpoints of a training run: written whole, checked when read, and never the only one.

Here belong the two files and what is said when one cannot be used. What a run's state is, is in `training_run`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from models.weights import write_atomically

LATEST, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
_DIGEST_BYTES = hashlib.sha256().digest_size


class CheckpointError(ValueError):
    """A checkpoint is damaged; the message names it."""


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state as the latest checkpoint and keep the one before; OSError leaves both as they were.

    A damaged one is not kept, so that it cannot take the place of a good one.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    latest = folder / LATEST
    fresh = folder / f"{LATEST}.new"
    remove_unfinished(fresh)
    try:
        write_atomically(fresh, hashlib.sha256(content).digest() + content)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    if latest.exists() and _intact(latest.read_bytes()):
        latest.replace(folder / PREVIOUS)
    fresh.replace(latest)


def _intact(content: bytes) -> bool:
    return hashlib.sha256(content[_DIGEST_BYTES:]).digest() == content[:_DIGEST_BYTES]


def remove_unfinished(path: Path) -> None:
    """Remove what a process that was killed while it wrote `path` has left."""
    for temporary in path.parent.glob(f".{path.name}.*"):
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """State of a checkpoint, on the processor. CheckpointError where its bytes are not those that were written."""
    content = path.read_bytes()
    if not _intact(content):
        raise CheckpointError(f"{path.name} is damaged")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    return state


def newest_checkpoint(folder: Path, digest: str, report: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """The newest usable state of the job `digest`; what could not be used is reported."""
    for name in (LATEST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            state = read_checkpoint(path)
        except CheckpointError as error:
            report({"event": "checkpoint_damaged", "message": str(error)})
            continue
        if state.get("digest") == digest:
            return state
        report({"event": "checkpoint_of_another_job", "message": f"{name} is of other data or another configuration"})
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    for name in (LATEST, PREVIOUS, f"{LATEST}.new"):
        (folder / name).unlink(missing_ok=True)
        remove_unfinished(folder / name)
