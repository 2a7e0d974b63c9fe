"""A calibration of one's own: the same detector, with the threshold and the p-values of another archive.

Here belong making one from what the detector said of the archive's photographs, putting it in the detector's place of
the calibration, and its file. Whether an archive suits a detector at all is asked in `archive_checks`.

What it promises, and when. Among n calibration photographs and one more, all drawn alike (exchangeable: no order of
them is likelier than another), the new one is as likely to be the highest as any, so that it is flagged at the rate
`fpr` with at most that probability, whatever the scores' distribution. Photographs of an archive come in bursts, by
assignment, camera and hand, and are exchangeable within such a group more than across groups. The rate is then kept on
average over all photographs *of these groups*; of a new group any share may be flagged, and the n photographs are worth
fewer: in the extreme, where those of a group score alike, as many as there are groups. Few photographs of many groups
therefore make a better calibration than many of few, and the self-check holds out whole groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models import conformal
from models.arrays import within
from models.combined import COMBINED, Calibration, CombinedDetector, Spread, calibration_of
from models.described_arrays import pack, unpack

Floats = npt.NDArray[np.float64]

_FORMAT = 1


class OtherDetectorError(ValueError):
    """A calibration belongs to another detector than the one it was to be used with."""

    def __init__(self, name: str, belongs_to: str, detector: str) -> None:
        super().__init__(f"the calibration {name} belongs to the detector {belongs_to}, not to {detector}")


@dataclass(frozen=True, eq=False)
class Scored:
    """A photograph of an archive: its group, and by part the scores (n,) of its squares."""

    group: str
    scores: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A calibration of one's own for the detector of identity `detector`.

    An image whose p-value is at most `fpr` is taken for generated. `facts` is a JSON object: what it was made from.
    """

    detector: str
    spreads: Mapping[str, Spread]
    calibration: Calibration
    fpr: float
    facts: Mapping[str, Any]

    @property
    def threshold(self) -> float:
        """An image with a higher combined score is taken for generated."""
        return conformal.threshold(self.calibration.images[COMBINED], self.fpr)

    @property
    def photographs(self) -> int:
        """How many photographs it is made from."""
        return len(self.calibration.images[COMBINED])

    def to_bytes(self) -> bytes:
        """The calibration as a safetensors file, the same bytes for the same calibration."""
        arrays = {f"images.{name}": scores for name, scores in self.calibration.images.items()}
        arrays["regions"] = self.calibration.regions
        content = {
            "format": _FORMAT,
            "detector": self.detector,
            "name": self.calibration.name,
            "sources": self.calibration.sources,
            "spreads": {name: asdict(spread) for name, spread in self.spreads.items()},
            "fpr": self.fpr,
            "facts": dict(self.facts),
        }
        return pack(arrays, content)

    @classmethod
    def from_bytes(cls, content: bytes) -> Recalibration:
        """Read what `to_bytes` wrote; ValueError where it is no such file."""
        try:
            facts, arrays = unpack(content)
            if facts["format"] != _FORMAT:
                raise ValueError(f"format {facts['format']}, not {_FORMAT}")
            images = within(arrays, "images.")
            return cls(
                facts["detector"],
                {name: Spread(**spread) for name, spread in facts["spreads"].items()},
                Calibration(facts["name"], facts["sources"], images, arrays["regions"]),
                facts["fpr"],
                facts["facts"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"no file of a calibration: {error}") from None


def recalibrate(
    photographs: Sequence[Scored], *, detector: str, name: str, fpr: float, facts: Mapping[str, Any]
) -> Recalibration:
    """The calibration of an archive for the detector of identity `detector`, from what its parts said of photographs.

    TooFewCalibrationScoresError where no p-value could be as small as `fpr`, ValueError for under 2 photographs.
    """
    needed = conformal.needed_scores(fpr)
    if len(photographs) < needed:
        raise conformal.TooFewCalibrationScoresError(fpr, needed, len(photographs))
    parts = {part: [one.scores[part] for one in photographs] for part in photographs[0].scores}
    spreads, calibration = calibration_of(parts, name=name, sources=len({one.group for one in photographs}))
    return Recalibration(detector, spreads, calibration, fpr, facts)


def recalibrated(detector: CombinedDetector, own: Recalibration) -> CombinedDetector:
    """The detector with an archive's calibration instead of its own. OtherDetectorError where it is another's."""
    if own.detector != detector.identity:
        raise OtherDetectorError(own.calibration.name, own.detector, detector.identity)
    return replace(detector, spreads=own.spreads, calibration=own.calibration, fpr=own.fpr)
