"""Files in, answers out: by a small detector, whatever the files are."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import assets.detection as detection
from assets.detection import Answered, choose, detect, files_of
from assets.sight import see
from models.images import decode_rgb
from models.squares import squares
from tests.end_to_end.hostile_files import bombs, mutants, photographs, write_entries, write_names
from tests.small_detector import jpeg, photograph, small_detector, small_home
from warehouse.answers import CANNOT_TELL, PHOTOGRAPH
from warehouse.exif_rules import SIMULATOR
from warehouse.home import Home, UserError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return small_home(tmp_path_factory.mktemp("home") / "home")


def asked(home: Home, *files: Path, show: bool = False) -> list[Answered]:
    return list(detect(choose(home), files, show=show))


def test_squares_cut_while_decoding_are_those_of_the_whole_image() -> None:
    data = jpeg(photograph(1, 300, 420))
    seen, whole = see(data, show=True), squares(decode_rgb(data))
    assert np.array_equal(seen.squares.pixels, whole.pixels)
    assert np.array_equal(seen.squares.places, whole.places)
    assert seen.shown is not None
    assert seen.shown.picture.shape == (300, 420, 3)


def test_a_picture_is_judged_as_the_detector_says(home: Home, tmp_path: Path) -> None:
    data = jpeg(photograph(1, 300, 420))
    (tmp_path / "a.jpg").write_bytes(data)
    found = small_detector().examine(decode_rgb(data))
    [answered] = asked(home, tmp_path / "a.jpg", show=True)
    answer = answered.answer
    assert (answer.score, answer.p_value, answer.parts) == (found.score, found.p_value, found.parts)
    assert answer.detector == choose(home).identity == small_detector().identity
    assert (answer.squares, answer.calibration, answer.calibration_photographs) == (6, "textures", 40)
    assert answered.heat_map is not None
    assert answered.heat_map.regions == 6


def test_a_picture_turned_by_exif_is_shown_upright(home: Home, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photograph(1, 256, 512)
    image[:, 256:] = 250  # on the right as stored, so below after a quarter turn clockwise
    (tmp_path / "a.jpg").write_bytes(jpeg(image, exif=exif))
    [answered] = asked(home, tmp_path / "a.jpg", show=True)
    assert answered.picture is not None
    assert answered.picture.size == (256, 512)
    assert np.asarray(answered.picture)[300:].mean() > 240
    assert (answered.answer.width, answered.answer.height) == (512, 256)


def test_answers_come_in_order_and_known_ones_are_not_judged_again(home: Home, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(5)]
    for number, file in enumerate(files):
        file.write_bytes(jpeg(photograph(number)))
    first = [answered.answer for answered in asked(home, *files)]
    assert [answer.file for answer in first] == list(map(str, files))
    told = {answer.sha256: answer for answer in first[:3]}
    marked = {sha256: answer.__class__(**{**answer.__dict__, "program": "before"}) for sha256, answer in told.items()}
    again = [one.answer for one in detect(choose(home), files, lambda name, sha256: marked.get(sha256))]
    assert [answer.program == "before" for answer in again] == [True] * 3 + [False] * 2
    assert [answer.p_value for answer in again] == [answer.p_value for answer in first]


def test_whoever_stops_asking_is_not_kept_waiting(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(photograph(1)))
    answers = detect(choose(home), [tmp_path / "a.jpg"] * 50)
    assert next(iter(answers)).answer.verdict
    answers.close()  # type: ignore[attr-defined]


def test_everything_that_means_harm_has_a_reason(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    made = photographs()
    damaged = dict(mutants(made, 60, seed=3))
    for name, data in {**damaged, **bombs()}.items():
        (folder / name).write_bytes(data)
    write_names(folder, made["jpg"])
    write_entries(folder, made["jpg"])
    files = [*files_of([folder]), tmp_path / "none.jpg", tmp_path / "a\0b.jpg"]
    answers = [answered.answer for answered in detect(choose(home), files)]
    assert len(answers) == len(files)
    for answer in answers:
        if answer.failed:
            assert answer.verdict == CANNOT_TELL
            assert answer.reason
            assert answer.reason_code
        if answer.p_value is None:
            assert answer.verdict != PHOTOGRAPH
    assert answers[-2].reason_code == "missing"


def test_simulated_detectors_judge_simulated_pictures_only(tmp_path: Path) -> None:
    home = small_home(tmp_path / "home", simulated_only=True)
    exif = Image.Exif()
    exif[0x0131] = SIMULATOR
    (tmp_path / "real.jpg").write_bytes(jpeg(photograph(1)))
    (tmp_path / "simulated.jpg").write_bytes(jpeg(photograph(1), exif=exif))
    real, simulated = (one.answer for one in asked(home, tmp_path / "real.jpg", tmp_path / "simulated.jpg"))
    assert (real.verdict, real.reason_code) == (CANNOT_TELL, "only_simulated")
    assert simulated.p_value is not None


def test_a_picture_over_the_limit_is_refused_by_its_size(home: Home, tmp_path: Path) -> None:
    Image.new("L", (12_000, 10_001)).save(tmp_path / "large.png")
    [answered] = asked(home, tmp_path / "large.png")
    assert answered.answer.reason_code == "too_large"
    assert "120,000,000 pixels" in str(answered.answer.reason)


def test_the_box_answers_where_a_home_has_no_champion(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = tmp_path / "detector.safetensors"
    monkeypatch.setattr(detection, "BOX", box)
    empty = Home(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no detector in .* built without one"):
        choose(empty)
    box.write_bytes(b"no detector")
    with pytest.raises(UserError, match="not whole"):
        choose(empty).load()
    box.write_bytes(small_detector().to_bytes())
    assert choose(empty).identity == choose(home).identity
    empty.path.mkdir()
    empty.champion.write_text(json.dumps({"detector_id": "gone"}))
    with pytest.raises(UserError, match="the detector gone is gone"):
        choose(empty)
    empty.champion.write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        choose(empty)
