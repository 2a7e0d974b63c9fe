import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.combined import CombinedDetector
from pipelines.cli import cli, main
from tests.assets.test_calibration import answers
from tests.models.small_detector import small_detector, texture
from warehouse.home import Home


@pytest.fixture(scope="module")
def detector() -> CombinedDetector:
    return small_detector()


@pytest.fixture
def home(tmp_path: Path, detector: CombinedDetector, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a champion; the folder above has an archive of 24 photographs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(3)
    for number in range(24):
        folder = tmp_path / "My Archive" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(texture(rng)).save(folder / f"{number}.png")
    made = Home(tmp_path / "home")
    answers(made, detector)
    return made


def said(*words: str) -> str:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def test_an_archive_is_calibrated_on_and_listed(home: Home, detector: CombinedDetector) -> None:
    output = said("calibrate", "My Archive", "--fpr", "0.2")
    assert "my-archive: 24 files: 24 judged; groups: 3\n" in output
    assert "the archive fits the detector's own calibration" in output
    assert "self-check: calibrated on 16 photographs of 2 groups, held out 8 of 1 others: " in output
    assert (
        f"at a false-positive rate of 0.2; 24 photographs allow 0.04 and more; detector {detector.identity}" in output
    )
    assert "`sdaie detect --calibration my-archive`" in output
    listed = said("calibrate", "--list")
    assert "my-archive" in listed
    assert str(home.path.parent / "My Archive") in listed
    (home.calibrations / "my-archive" / "calibration.safetensors").write_bytes(b"torn")
    assert CliRunner().invoke(cli, ["calibrate", "--list"]).exit_code == 1


def test_none_are_listed_before_there_is_one(home: Home) -> None:
    assert said("calibrate", "--list").endswith("0 rows\n")


@pytest.mark.parametrize("words", [[], ["My Archive", "--fpr", "0"], ["My Archive", "--fpr", "0.5"]])
def test_wrong_usage(home: Home, words: list[str]) -> None:
    assert CliRunner().invoke(cli, ["calibrate", *words]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["My Archive", "--fpr", "0.01"], "75 are missing"),
        (["nowhere"], "no such file or folder"),
        (["My Archive", "--name", "Not A Name"], "is no name"),
        (["My Archive", "--group", "who"], "a group column needs a table"),
    ],
)
def test_a_mistake_is_one_line(
    home: Home, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sdaie", "calibrate", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("calibrate ")]
    assert len(errors) == 1
    assert message in errors[0]
