"""EXIF against pixels: how plausible what a picture's metadata claims is, given what is read from its pixels.

Here belong the calibration, the judgement of one image, and the file. What reads tags from pixels is in `tag_readers`,
what is learned of a claim in `plausibility`, how well swapped metadata is told in `swaps`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models import conformal
from models.arrays import within
from models.bootstrap import Estimate
from models.camera_statistics import refuse_none, statistics_squares
from models.described_arrays import pack, unpack
from models.plausibility import Claimed, Floats, Outputs, Plausibility, fit_plausibility
from models.pretext import TAGS
from models.swaps import JOINT, NAMES, cross_fitted, halves
from models.tag_readers import TagReader, reader_of
from models.tag_regression import split_outputs

_FORMAT = 2
# Calibration values of one tag that are kept.
_KEPT = 2048
DOUBTED = 0.05
"""With a p-value of at most this the pixels speak against a claim, where they tell anything of it."""
_CHANCE = 0.5

_SAID = {
    "make": "maker {}",
    "model": "model {}",
    "flash": "flash: {}",
    "metering_mode": "metering mode: {}",
    "exposure_mode": "exposure mode: {}",
    "white_balance": "white balance: {}",
    "scene_capture_type": "scene type: {}",
    "f_number": "aperture f/{}",
    "exposure_time_s": "exposure time {} s",
    "iso": "ISO {}",
    "focal_length_mm": "focal length {} mm",
    "focal_length_35mm_mm": "focal length {} mm on 35 mm film",
    "exposure_bias_ev": "exposure compensation {} EV",
    "brightness_ev": "brightness {} EV",
}

_VALUE = re.compile(r":? (f/)?\{\}.*")
"""Where in these the value stands, and what goes with it."""


@dataclass(frozen=True)
class Claim:
    """One claim of the metadata against the pixels.

    `tag` is a column of typed EXIF, or `all` for all claims together (then `claimed` is their number). `p_value`
    (conformal): the share of calibration photographs whose own metadata fits their pixels as badly. `auroc` is how well
    this tag tells true metadata from another photograph's on sources never seen; .5 is chance. The `sentence` takes a
    p-value for evidence only where the whole interval of `auroc` lies above chance.
    """

    tag: str
    claimed: str | float | int
    p_value: float
    auroc: Estimate
    sentence: str

    @property
    def evidence(self) -> bool:
        """Whether the pixels tell anything of this claim: swapped metadata is told on sources never seen."""
        return self.auroc.low is not None and self.auroc.low > _CHANCE

    @property
    def name(self) -> str:
        """What is claimed, in words, without the value."""
        return "all together" if self.tag == JOINT else _VALUE.sub("", _SAID[self.tag])


@dataclass(frozen=True, eq=False)
class Claims:
    """What reads tags from pixels, and what photographs of held-out sources with their own metadata taught.

    `calibration` has sorted nonconformities of those photographs by tag and for `all`, `measured` how well swapped
    metadata is told, `sources` the number of sources.
    """

    reader: TagReader
    plausibility: Plausibility
    calibration: Mapping[str, Floats]
    measured: Mapping[str, Estimate]
    sources: int

    def judge(self, image: npt.NDArray[np.uint8], exif: Mapping[str, Any]) -> list[Claim]:
        """Judge what typed EXIF (columns of table `exif`) claims of an image (H, W, 3), as shipped.

        Each claim of which the pixels tell something, in the order of the tags, then `all`; empty where there is none.
        TooSmallError where a side is under 128 px.
        """
        return self.judge_squares(statistics_squares(image), exif)

    def judge_squares(self, squares: npt.NDArray[np.uint8], exif: Mapping[str, Any]) -> list[Claim]:
        """As `judge`, of an image given as its squares (n, 128, 128, 3) as `statistics_squares` has them."""
        refuse_none(squares)
        outputs = split_outputs(self.reader([squares]), self.reader.vocabulary)
        found = self.plausibility.nonconformity(outputs, Claimed.of([exif], self.reader.vocabulary))
        scores = zip(TAGS, found[0].tolist(), strict=True)
        judged = [self._claim(tag, exif[tag], score) for tag, score in scores if not np.isnan(score)]
        if judged:
            judged.append(self._claim(JOINT, len(judged), float(self.plausibility.joint(found)[0])))
        return judged

    def _claim(self, tag: str, claimed: str | float | int, score: float) -> Claim:
        p_value = float(conformal.p_value(score, self.calibration[tag]))
        measured = self.measured.get(tag, Estimate(None, None, None))
        return Claim(tag, claimed, p_value, measured, _sentence(tag, claimed, p_value, measured))

    def to_bytes(self) -> bytes:
        """As a safetensors file, the same bytes for the same claims."""
        facts, read = self.reader.stored()
        arrays = {f"reader.{name}": array for name, array in read.items()}
        arrays |= {f"calibration.{name}": scores for name, scores in self.calibration.items()}
        content = {
            "format": _FORMAT,
            "reader": facts,
            "plausibility": self.plausibility.to_json(),
            "measured": {name: asdict(estimate) for name, estimate in self.measured.items()},
            "sources": self.sources,
        }
        return pack(arrays, content)

    @classmethod
    def from_bytes(cls, content: bytes) -> Claims:
        """Read what `to_bytes` wrote; ValueError where it is no such file."""
        try:
            facts, arrays = unpack(content)
        except ValueError as error:
            raise ValueError(f"no file of claims: {error}") from None
        if facts.get("format") != _FORMAT or "plausibility" not in facts:
            raise ValueError(f"format {facts.get('format')} of a file of claims, not {_FORMAT}")
        return cls(
            reader_of(facts["reader"], within(arrays, "reader.")),
            Plausibility.from_json(facts["plausibility"]),
            within(arrays, "calibration."),
            {name: Estimate(**estimate) for name, estimate in facts["measured"].items()},
            facts["sources"],
        )


def calibrate(
    reader: TagReader,
    outputs: Outputs,
    claimed: Claimed,
    groups: npt.NDArray[Any],
    measured: Mapping[str, Estimate],
) -> Claims:
    """Claims calibrated on n photographs of sources (`groups`) that the reader has not seen, with their own metadata.

    The p-values rank among nonconformities cross-fitted by source; what judges is learned on all of them. ValueError
    for under two sources.
    """
    own = cross_fitted(halves(outputs, claimed, groups), outputs, claimed)
    plausibility = fit_plausibility(outputs, claimed, groups)
    calibration = {}
    for name, scores in zip(NAMES, own.T, strict=True):
        known = np.sort(scores[~np.isnan(scores)])
        if known.size:
            calibration[name] = known[:: 1 + len(known) // _KEPT]
    # A tag that no half could be calibrated on is left out.
    tags = {tag: fitted for tag, fitted in plausibility.tags.items() if tag in calibration}
    plausibility = replace(plausibility, tags=tags)
    sources = len(np.unique(groups))
    return Claims(reader, plausibility, calibration, measured, sources)


def _sentence(tag: str, claimed: str | float | int, p_value: float, measured: Estimate) -> str:
    what = f"all {claimed} claims together" if tag == JOINT else _SAID[tag].format(_value(tag, claimed))
    share = f"{100 * p_value:.2g}% of photographs with their own metadata fit as badly"
    if measured.low is None or measured.low <= _CHANCE:
        return f"{what}: no evidence, since on sources never seen this is not told from swapped metadata ({share})"
    return f"{what}: {'the pixels speak against it' if p_value <= DOUBTED else 'plausible'}, {share}"


def _value(tag: str, claimed: str | float) -> str:
    if isinstance(claimed, str):
        return claimed.replace("_", " ")
    if tag == "exposure_time_s" and 0 < claimed < 0.3:
        return f"1/{1 / claimed:.0f}"
    return f"{claimed:.4g}"
