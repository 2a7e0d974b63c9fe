"""The sum of parts and its calibration, on parts that score a square by one number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models import conformal
from models.combined import COMBINED, CombinedDetector, calibrate, calibrate_scores
from models.squares import Squares


@dataclass(frozen=True)
class Channel:
    """Scores a square by the mean of one colour channel."""

    name: str
    channel: int

    def scores(self, seen: Squares) -> npt.NDArray[np.float64]:
        return np.asarray(seen.pixels[..., self.channel].mean(axis=(1, 2)), dtype=np.float64)

    def stored(self) -> tuple[Mapping[str, Any], Mapping[str, npt.NDArray[Any]]]:
        return {"kind": "channel"}, {}


PARTS = [Channel("red", 0), Channel("green", 1)]


def picture(seed: int, count: int = 4, shift: int = 0) -> Squares:
    rng = np.random.default_rng(seed)
    levels = rng.integers(60, 120, (count, 1, 1, 3)) + rng.integers(0, 40) + shift
    pixels = np.broadcast_to(levels, (count, 128, 128, 3)).astype(np.uint8)
    return Squares(np.zeros((count, 2), dtype=np.int64), pixels, np.zeros((count, 33)))


@pytest.fixture(scope="module")
def detector() -> CombinedDetector:
    return calibrate(PARTS, [picture(seed) for seed in range(60)], name="made", sources=60)


def test_an_examination_has_the_score_and_p_value_of_every_part(detector: CombinedDetector) -> None:
    seen = picture(900, shift=10)
    said = detector.examine_squares(seen)
    assert list(said.parts) == list(said.part_scores) == ["red", "green"]
    for part in PARTS:
        assert said.part_scores[part.name] == detector.spreads[part.name].score(part.scores(seen))
        ranked = conformal.p_value(said.part_scores[part.name], detector.calibration.images[part.name])
        assert said.parts[part.name] == ranked
    assert detector.image_scores({part.name: part.scores(seen) for part in PARTS}) == {
        **said.part_scores,
        COMBINED: said.score,
    }


def test_thresholds_and_p_values_agree(detector: CombinedDetector) -> None:
    flagged = []
    for seed in range(200, 300):
        said = detector.examine_squares(picture(seed, shift=seed - 230))
        assert (said.score > detector.threshold_of(COMBINED)) == (said.p_value <= detector.fpr)
        for name, score in said.part_scores.items():
            assert (score > detector.threshold_of(name)) == (said.parts[name] <= detector.fpr)
        flagged.append(said.score > detector.threshold_of(COMBINED))
    assert 0 < sum(flagged) < 100


def test_ready_scores_calibrate_as_squares_do(detector: CombinedDetector) -> None:
    photographs = [picture(seed) for seed in range(60)]
    scores = {part.name: [part.scores(seen) for seen in photographs] for part in PARTS}
    again = calibrate_scores(PARTS, scores, name="made", sources=60)
    assert again.spreads == detector.spreads
    for name, values in detector.calibration.images.items():
        assert np.array_equal(again.calibration.images[name], values)
    with pytest.raises(conformal.TooFewCalibrationScoresError, match="at least 99"):
        calibrate_scores(PARTS, scores, name="made", sources=60, fpr=0.01)
