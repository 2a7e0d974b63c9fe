import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from assets.calibration import (
    Archive,
    Calibrated,
    answering_detector,
    calibrate,
    calibration_names,
    load_calibration,
    recalibrated,
)
from models.archive_checks import Fit
from models.combined import CombinedDetector
from models.parts import FeaturePart
from models.square_features import SquareFeatures
from tests.models.small_detector import small_detector, texture
from warehouse.home import Home, UserError, write_text


@pytest.fixture(scope="module")
def detector() -> CombinedDetector:
    return small_detector()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 textures in four folders, and beside them what is not judged."""
    folder, rng = tmp_path_factory.mktemp("archive"), np.random.default_rng(3)
    for number in range(24):
        (folder / f"group{number % 4}").mkdir(exist_ok=True)
        Image.fromarray(texture(rng)).save(folder / f"group{number % 4}" / f"{number:02}.png")
    (folder / "group0" / "copy.png").write_bytes((folder / "group0" / "00.png").read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    (folder / "torn.png").write_bytes((folder / "group0" / "00.png").read_bytes()[:4000])
    Image.fromarray(texture(rng)[:100, :100]).save(folder / "small.png")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def answers(home: Home, detector: CombinedDetector) -> None:
    """Make a detector the champion of a home."""
    folder = home.detectors / detector.identity
    folder.mkdir(parents=True)
    (folder / "detector.safetensors").write_bytes(detector.to_bytes())
    write_text(home.champion, json.dumps({"detector_id": detector.identity}))


def made(home: Home, detector: CombinedDetector, archive: Path, fpr: float = 0.05, name: str = "own") -> Calibrated:
    return calibrate(home, detector, Archive(str(archive)), name, fpr)


class Counted:
    """Features that count the photographs they are asked of, and stop a run after some."""

    def __init__(self, detector: CombinedDetector, monkeypatch: pytest.MonkeyPatch, stop_after: int = 1000) -> None:
        self.count = 0
        part = detector.parts[0]
        assert isinstance(part, FeaturePart)
        kind = type(part.features)
        describe = kind.__call__

        def counted(features: SquareFeatures, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
            if self.count == stop_after:
                raise KeyboardInterrupt
            self.count += 1
            return describe(features, pixels)

        monkeypatch.setattr(kind, "__call__", counted)


def test_every_file_is_judged_or_refused_with_a_reason(home: Home, detector: CombinedDetector, archive: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = calibrate(home, detector, Archive(str(archive)), "own", 0.05, lambda *counts: seen.append(counts))
    assert found.judged.refused == {"corrupt": 1, "not_an_image": 1, "same_content": 1, "too_small": 1}
    assert found.judged.listed == len(found.judged.photographs) + sum(found.judged.refused.values()) == 28
    assert seen == [(done, 28) for done in range(1, 29)]
    assert (found.own.photographs, found.own.calibration.sources) == (24, 4)
    assert found.reference.fit == Fit.FITS
    assert found.check is None


def test_it_is_kept_and_takes_the_place_of_the_detectors_own(
    home: Home, detector: CombinedDetector, archive: Path
) -> None:
    own = made(home, detector, archive).own
    kept = load_calibration(home, "own")
    assert kept.to_bytes() == own.to_bytes()
    facts = kept.facts
    assert (facts["source"], facts["listed"], facts["judged"], facts["self_check"]) == (str(archive), 28, 24, None)
    assert facts["reference"]["fit"] == "fits"
    judge = recalibrated(home, detector, "own")
    assert (judge.calibration.name, len(judge.calibration.images["combined"])) == ("own", 24)
    assert judge.parts == detector.parts


def test_a_picture_that_looks_generated_is_named(
    home: Home, detector: CombinedDetector, archive: Path, tmp_path: Path
) -> None:
    mixed, rng = tmp_path / "mixed", np.random.default_rng(7)
    mixed.mkdir()
    for file in archive.glob("group*/*.png"):
        (mixed / file.name).write_bytes(file.read_bytes())
    for number in range(6):
        Image.fromarray(texture(rng, noise=14)).save(mixed / f"other{number}.png")
    # Else the odd ones get no verdict and say nothing.
    found = made(home, replace(detector, abstention=None), mixed, fpr=0.2)
    assert found.reference.fit == Fit.SOME_GENERATED
    assert {name[:5] for name in found.highest} == {"other"}
    assert found.check is not None


def test_what_was_judged_before_a_kill_is_not_judged_again(
    home: Home, detector: CombinedDetector, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Counted(detector, patch, stop_after=10)
        with pytest.raises(KeyboardInterrupt):
            made(home, detector, archive)
    assert calibration_names(home) == []
    (log,) = (home.calibrations / "own").glob("scores-*.jsonl")
    log.write_bytes(log.read_bytes() + b'{"sha256": "half a li')
    with monkeypatch.context() as patch:
        counted = Counted(detector, patch)
        found = made(home, detector, archive)
    assert counted.count == 14
    whole = made(Home(home.path / "undisturbed"), detector, archive)
    assert {**found.own.facts, "date": ""} == {**whole.own.facts, "date": ""}
    assert np.array_equal(found.own.calibration.regions, whole.own.calibration.regions)


def test_a_new_photograph_costs_one(
    home: Home, detector: CombinedDetector, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for file in archive.glob("group*/*.png"):
        (folder / file.name).write_bytes(file.read_bytes())
    before = made(home, detector, folder).own
    Image.fromarray(texture(np.random.default_rng(8))).save(folder / "new.png")
    with monkeypatch.context() as patch:
        counted = Counted(detector, patch)
        after = made(home, detector, folder).own
    assert counted.count == 1
    assert after.photographs == before.photographs + 1
    assert after.facts["digest"] != before.facts["digest"]


def test_too_few_say_how_many_are_missing_and_keep_nothing(
    home: Home, detector: CombinedDetector, archive: Path
) -> None:
    with pytest.raises(UserError, match=r"rate of 0.01 needs at least 99 .* 24 of 28 .* 75 are missing .* is 0.04;"):
        made(home, detector, archive, fpr=0.01)
    assert calibration_names(home) == []


def test_an_archive_without_a_photograph_is_an_error(home: Home, detector: CombinedDetector, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="19 are missing: nothing was calibrated"):
        made(home, detector, tmp_path / "empty")


def test_that_of_another_detector_is_refused_with_the_command(
    home: Home, detector: CombinedDetector, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(home, detector, archive)
    other = CombinedDetector(detector.parts, detector.spreads, detector.calibration, 0.1, {})
    with pytest.raises(UserError, match=f"own belongs to .*`sdaie calibrate {archive} --name own --fpr 0.05`"):
        recalibrated(home, other, "own")
    with monkeypatch.context() as patch:
        counted = Counted(detector, patch)
        made(home, other, archive)
    assert counted.count == 24
    recalibrated(home, other, "own")
    assert [log.name for log in (home.calibrations / "own").glob("scores-*")] == [f"scores-{other.identity}.jsonl"]


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-x"])
def test_a_name_is_a_name(home: Home, detector: CombinedDetector, archive: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name"):
        made(home, detector, archive, name=name)
    with pytest.raises(UserError, match="no calibration"):
        load_calibration(home, name)


def test_the_name_of_another_archive_is_taken(
    home: Home, detector: CombinedDetector, archive: Path, tmp_path: Path
) -> None:
    made(home, detector, archive)
    with pytest.raises(UserError, match=f"own is the calibration of {archive}: pass another --name"):
        made(home, detector, tmp_path)


def test_a_damaged_calibration_is_an_error(home: Home) -> None:
    write_text(home.calibrations / "own" / "calibration.safetensors", "nothing")
    with pytest.raises(UserError, match="the calibration own is not whole"):
        load_calibration(home, "own")


def test_the_champion_answers(
    home: Home, detector: CombinedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.detection.BOX", tmp_path / "no box")
    with pytest.raises(UserError, match=r"no detector in .*, and this program was built without one"):
        answering_detector(home)
    answers(home, detector)
    assert answering_detector(home).identity == detector.identity
    (home.detectors / detector.identity / "detector.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="not whole"):
        answering_detector(home)
    write_text(home.champion, "{}")
    with pytest.raises(UserError, match="is damaged"):
        answering_detector(home)
