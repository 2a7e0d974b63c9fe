from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models.combined import CombinedDetector, Examination, calibrate
from models.density import fit_density
from models.detector import BenchmarkImage, FileFacts
from models.mixture import MixtureConfig
from models.parts import FeaturePart
from models.square_detector import SquareDetector
from models.square_features import HandFeatures
from models.squares import Squares, squares


def image(seed: int, side: int = 256, spread: float = 20) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).normal(128, spread, (side, side, 3)).clip(0, 255).astype(np.uint8)


def shown(pixels: npt.NDArray[np.uint8]) -> BenchmarkImage:
    facts = FileFacts("0" * 64, "PNG", pixels.shape[1], pixels.shape[0], 1, None, None)
    return BenchmarkImage(pixels, facts, "as_shipped", "none")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of two parts that say the same."""
    photographs = [squares(image(seed)) for seed in range(50)]
    pixels = np.concatenate([seen.pixels for seen in photographs[:25]])
    covariates = np.concatenate([seen.covariates for seen in photographs[:25]])
    groups = np.repeat(np.arange(5), 20)
    single = [MixtureConfig(components=1, dimension=16, shrinkage=0.5)]
    density = fit_density(HandFeatures()(pixels), covariates, groups, single)
    parts = [FeaturePart(name, HandFeatures(), density) for name in ("first", "second")]
    detector = calibrate(parts, photographs[25:], name="made", sources=25)
    path = tmp_path_factory.mktemp("detector") / detector.identity / "detector.safetensors"
    path.parent.mkdir()
    path.write_bytes(detector.to_bytes())
    return path


def test_every_name_says_what_the_examination_says(file: Path) -> None:
    whole = CombinedDetector.from_bytes(file.read_bytes())
    pictures = [image(99), image(98, spread=60)]
    said = [whole.examine(each) for each in pictures]
    for name in ("first", "second", "combined"):
        one = SquareDetector.load(name, file)
        assert (one.name, one.version) == (name, whole.identity)
        expected = [each.score if name == "combined" else each.part_scores[name] for each in said]
        assert one.score([shown(each) for each in pictures]).tolist() == expected


def test_an_image_is_examined_once_for_all_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examined: list[Squares] = []
    original = CombinedDetector.examine_squares

    def counting(self: CombinedDetector, seen: Squares) -> Examination:
        examined.append(seen)
        return original(self, seen)

    monkeypatch.setattr(CombinedDetector, "examine_squares", counting)
    one, same = shown(image(1)), shown(image(1))
    for picture in (one, same):
        for name in ("first", "second", "combined"):
            SquareDetector.load(name, file).score([picture])
    # Equal pixels are no reason to take two images for one.
    assert len(examined) == 2


def test_without_room_for_a_square_there_is_no_score(file: Path) -> None:
    assert np.isnan(SquareDetector.load("combined", file).score([shown(image(1, side=127))])).all()


def test_what_is_no_such_detector_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no part third"):
        SquareDetector.load("third", file)
    broken = tmp_path / "detector.safetensors"
    broken.write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match="no file of a detector"):
        SquareDetector.load("first", broken)
