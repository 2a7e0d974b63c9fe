"""Which detectors look at pixels or at file facts, and how each is had: ours, those of others, the binary ones.

What they are asked and what becomes of their answers belongs to `pixel_scores.py` and `other_detectors.py`; the
interface they keep to, to `models/detector.py`.
"""

import importlib
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.stage import Context
from warehouse.home import UserError
from warehouse.registry import OtherDetector, Registry

if TYPE_CHECKING:
    from models.detector import Detector

JPEG_HISTORY, FORMAT_RULE, BINARY = "jpeg_history", "format_rule", "binary"
IN_THE_BOX = {JPEG_HISTORY: ("models.jpeg_history:JpegHistory", "traces of earlier JPEG compression alone")}
BINARY_WEIGHTS = "binary.safetensors"


@dataclass(frozen=True)
class PixelDetector:
    """A detector by name: how it is had (`place`: `module:Class`, or for a binary one its network) and what it saw.

    `family` joins the detectors that differ in what they were trained on alone; `seen` are the generators it was
    trained on, `left_out` one that it was not to see (each `SET.GENERATOR`), `backbone` its pretext backbone.
    """

    name: str
    version: str
    family: str
    place: str
    description: str
    seen: str | None = None
    left_out: str | None = None
    backbone: str | None = None

    @property
    def binary(self) -> bool:
        """Whether it was trained here on generated images."""
        return self.family == BINARY

    def load(self, home: Path) -> "Detector":
        """The detector itself. Raises UserError naming the entry that cannot be had."""
        if not self.binary:
            return load_class(home, self.name, self.place)
        from models.binary_detector import BinaryDetector

        return BinaryDetector.load(self.name, home / "binaries" / self.place / BINARY_WEIGHTS)


def class_detectors(context: Context) -> list[PixelDetector]:
    """The one in the box and those that the registry names by class; they are loaded, since they know their version.

    Raises UserError naming the first entry that cannot be loaded or has a name of ours.
    """
    home = context.home.path
    named = {name: (other.class_, f"{other.class_}, registered") for name, other in others(context.registry).items()}
    return [
        PixelDetector(name, load_class(home, name, place).version, name, place, description)
        for name, (place, description) in (IN_THE_BOX | named).items()
        if place is not None
    ]


def pixel_detectors(context: Context) -> list[PixelDetector]:
    """All of them: in the box, registered by class, and the trained binary ones. Raises as `class_detectors`."""
    networks = context.store.read("binary_networks").sort("detector").iter_rows(named=True)
    trained = [
        PixelDetector(
            name=row["detector"],
            version=row["network"],
            family=BINARY,
            place=row["network"],
            description="trained on photographs and generated images",
            seen=row["seen"],
            left_out=row["left_out"],
            backbone=row["backbone"],
        )
        for row in networks
    ]
    return [*class_detectors(context), *trained]


def others(registry: Registry) -> dict[str, OtherDetector]:
    """The registered detectors of others by name. Raises UserError for a name that one of ours has."""
    # The detectors on features come after these in the chain, so their module imports what stands on this one.
    from assets.detectors import DETECTORS

    ours = {*DETECTORS, *IN_THE_BOX, FORMAT_RULE, BINARY}
    for name in registry.detectors:
        if name in ours or name.startswith(f"{BINARY}_not_"):
            raise UserError(f"[detectors.{name}]: {name} is the name of a detector in the box: choose another")
    return registry.detectors


def own_threshold(name: str, detector: "Detector") -> float | None:
    """The threshold that a detector brings along, None where it has none. Raises UserError where it is no number."""
    threshold: Any = getattr(detector, "threshold", None)
    if threshold is None:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise UserError(f"[detectors.{name}]: its threshold is {threshold!r}, not a finite number")
    return float(threshold)


@cache
def load_class(home: Path, name: str, place: str) -> "Detector":
    """The detector `module:Class`, once a process; the module is looked for in the environment, then in the home.

    Raises UserError in one sentence naming the entry of the registry.
    """
    entry = f"[detectors.{name}] class = {place!r}"
    module, _, kind = place.partition(":")
    # At the end, so that a file of the home cannot stand in for a module that something else needs.
    if str(home) not in sys.path:
        sys.path.append(str(home))
    importlib.invalidate_caches()
    try:
        made = getattr(importlib.import_module(module), kind)()
    except Exception as error:  # code of others raises what it likes
        raise UserError(f"{entry}: cannot be loaded: {said(error)}") from error
    for member in ("name", "version"):
        if not isinstance(getattr(made, member, None), str):
            raise UserError(f"{entry}: has no {member}, which is a text")
    if not callable(getattr(made, "score", None)):
        raise UserError(f"{entry}: has no method score")
    own_threshold(name, made)
    loaded: Detector = made
    return loaded


def said(error: Exception) -> str:
    """An exception in one line: its kind and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300]
