"""The champion that the newest detector has to stand against, as a detector that is measured beside all others.

It is there while the newest detector is another than the one that answers, and stays beside it once that one was
promoted. Who it is belongs to `champions.py`, what is asked of the newest one to `promotion.py`.
"""

from collections.abc import Iterator
from pathlib import Path

from assets.champions import newest, opponent
from assets.square_detectors import square_detectors
from assets.stage import Context, Product, stage
from warehouse.champion import COMBINED
from warehouse.home import UserError
from warehouse.shards import Rows, frame

BEFORE = "before"
"""Partition of `detectors` that has it."""
NAME = f"{COMBINED}_before"


def _opponent(context: Context) -> str | None:
    try:
        return opponent(context.home, newest(context.store))
    except IndexError:
        return None


def _file(context: Context) -> Iterator[Path]:
    identity = _opponent(context)
    if identity is not None:
        yield context.home.detector_file(identity)


@stage(
    group="detection",
    tables=["detectors"],
    upstream=[square_detectors],
    settings=_opponent,
    kinds=["parquet"],
    files=_file,
    table_partition=BEFORE,
)
def champion_before(context: Context) -> Product:
    """The detector that answered before the newest one, to be measured on the same images; no row where none did."""
    from models.combined import CombinedDetector
    from models.tracks import TRACKS

    identity = _opponent(context)
    if identity is None:
        return Product({"detectors": frame("detectors", [])}, {"champions": 0})
    file = context.home.detector_file(identity)
    try:
        detector = CombinedDetector.from_bytes(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"the champion {identity} cannot be read ({error}), so nothing can be compared with it: put its file back, "
            "or let the newest detector answer: `sdaie promote ID`"
        ) from None
    rows: Rows = [
        {
            "detector": NAME,
            "track": track,
            "detector_id": identity,
            "family": NAME,
            "detector_version": identity,
            "backbone": None,
            "seen": None,
            "description": "the champion that the newest detector is compared with",
            "n_fit": None,
            "n_calibration": len(detector.calibration.images[COMBINED]),
            "false_positive_rate": detector.fpr,
            "threshold": detector.threshold_of(COMBINED),
            "threshold_from": "calibration",
            "simulated_only": detector.facts["simulated_only"],
        }
        for track in TRACKS
    ]
    return Product({"detectors": frame("detectors", rows)}, {"champions": 1})
