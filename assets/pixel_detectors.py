"""Which detectors look at pixels or at file facts, and how each is had: ours, those of others, binary, on squares.

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

from assets.binary import BINARY, PUBLISHED, binary_weights
from assets.champion_before import BEFORE, NAME
from assets.square_detectors import SQUARES
from assets.stage import Context
from warehouse.champion import COMBINED
from warehouse.home import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from models.detector import Detector

JPEG_HISTORY, FORMAT_RULE = "jpeg_history", "format_rule"
IN_THE_BOX = {JPEG_HISTORY: ("models.jpeg_history:JpegHistory", "traces of earlier JPEG compression alone")}


@dataclass(frozen=True)
class PixelDetector:
    """A detector by name: how it is had, and what it saw.

    It is had from a `place` (`module:Class`), the `weights` of a binary one, or the file of those on `squares`.

    `family` joins the detectors that differ in what they were trained on alone; `seen` are the generators it was
    trained on, `left_out` one that it was not to see (each `SET.GENERATOR`), `backbone` its pretext backbone. `part` is
    the name that the file on squares has for it, by which the same version may have been asked before.
    """

    name: str
    version: str
    family: str
    description: str
    place: str | None = None
    weights: Path | None = None
    squares: Path | None = None
    part: str | None = None
    seen: str | None = None
    left_out: str | None = None
    backbone: str | None = None

    def load(self, home: Path) -> "Detector":
        """The detector itself. Raises UserError naming the entry that cannot be had."""
        if self.place is not None:
            return load_class(home, self.name, self.place)
        try:
            return self._of_file()
        # A WeightsError is a ValueError.
        except (OSError, ValueError) as error:
            raise UserError(f"the weights of {self.name} cannot be read ({error}): run `sdaie run --force`") from None

    def _of_file(self) -> "Detector":
        if self.squares is not None:
            from models.square_detector import SquareDetector

            return SquareDetector.load(self.part or self.name, self.squares)
        from models.binary_detector import BinaryDetector

        assert self.weights is not None
        return BinaryDetector.load(self.name, self.weights)


def class_detectors(context: Context) -> list[PixelDetector]:
    """The one in the box and those that the registry names by class; they are loaded, since they know their version.

    Raises UserError naming the first entry that cannot be loaded.
    """
    home = context.home.path
    named = {name: (other.class_, f"{other.class_}, registered") for name, other in context.registry.detectors.items()}
    return [
        PixelDetector(name, load_class(home, name, place).version, name, description, place)
        for name, (place, description) in (IN_THE_BOX | named).items()
        if place is not None
    ]


def pixel_detectors(context: Context) -> list[PixelDetector]:
    """Those that are calibrated on reference photographs as they are: classes, and the trained binary ones.

    Raises as `class_detectors`.
    """
    networks = context.store.read("binary_networks").sort("detector").iter_rows(named=True)
    weights = binary_weights(context)
    trained = [
        PixelDetector(
            name=row["detector"],
            version=row["network"],
            # The published one was trained elsewhere, on what is not known here.
            family=PUBLISHED if row["detector"] == PUBLISHED else BINARY,
            weights=weights[row["detector"]],
            description="trained on photographs and generated images",
            seen=row["seen"],
            left_out=row["left_out"],
            backbone=row["backbone"],
        )
        for row in networks
    ]
    return [*class_detectors(context), *trained]


def detectors_on_squares(context: Context) -> list[PixelDetector]:
    """The parts of the detector in the box, what they are together, and the champion before it; calibrated already."""
    rows = context.store.read("detectors", [SQUARES, BEFORE]).unique("detector").sort("detector").iter_rows(named=True)
    return [
        PixelDetector(
            name=row["detector"],
            version=row["detector_version"],
            family=row["family"],
            description=row["description"],
            squares=context.home.detector_file(row["detector_id"]),
            part=COMBINED if row["detector"] == NAME else row["detector"],
            backbone=row["backbone"],
        )
        for row in rows
    ]


def calibrations(context: Context) -> "dict[str, npt.NDArray[np.float64]]":
    """Sorted scores (n,) of the pictures that each detector on squares is calibrated on, by its name."""
    from models.combined import CombinedDetector

    known = detectors_on_squares(context)
    files = {each.squares for each in known if each.squares is not None}
    read = {file: CombinedDetector.from_bytes(file.read_bytes()).calibration.images for file in files}
    return {each.name: read[each.squares][each.part or each.name] for each in known if each.squares is not None}


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
