"""Tables of scores and the format rule beside the other detectors, on a small set and real files."""

from pathlib import Path

import polars as pl
import pytest

from assets.benchmark_images import benchmark_images
from assets.format_rule import format_rule
from assets.other_detectors import other_detectors
from assets.pixel_scores import reference_pixel_scores
from assets.score_tables import table_scores
from tests.assets.small_home import SmallHome, picture
from warehouse.home import UserError
from warehouse.store import WHOLE

ENTRY = "[detectors.theirs]\nscores = 'scores.csv'\n"


@pytest.fixture
def listed(small: SmallHome) -> SmallHome:
    """The small home with its images listed and a table of scores registered."""
    for partition in ("set.real", "set.gan"):
        small.run(benchmark_images, partition)
    small.register(ENTRY)
    return small


def give(small: SmallHome, text: str) -> pl.DataFrame:
    (small.home.path / "scores.csv").write_text(text)
    small.run(table_scores)
    return small.context().store.read("benchmark_scores", ["table_scores"])


def images(small: SmallHome) -> dict[str, str]:
    return dict(small.context().store.read("benchmark_images", columns=["uri", "image_id"]).iter_rows())


def test_scores_find_their_images_by_path_and_by_content(listed: SmallHome) -> None:
    ids = images(listed)
    one, two = ids["gan/1_fake/0.png"], ids["gan/0_real/0.png"]
    rows = give(listed, f"file,score\ngan/1_fake/0.png,2.5\n{two},-1\n")
    assert len(rows) == len(ids)
    assert set(rows["track"]) == {"as_shipped"}
    said = {row["image_id"]: (row["score"], row["reason"], row["label"]) for row in rows.to_dicts()}
    assert (said.pop(one), said.pop(two)) == ((2.5, None, 1), (-1.0, None, 0))
    assert {answer[:2] for answer in said.values()} == {(None, "no_score")}
    assert rows["p_value"].null_count() == rows["flagged"].null_count() == len(rows)


def test_a_set_of_the_open_web_has_its_own_track_by_default(listed: SmallHome) -> None:
    listed.settings = listed.settings.replace("source = 'set'\n", "source = 'set'\nwild = true\n")
    listed.register(ENTRY)
    text = "file,score,track,perturbation\ngan/1_fake/0.png,2,,\ngan/1_fake/0.png,3,format_matched,jpeg_75\n"
    rows = give(listed, text).filter(pl.col("score").is_not_null())
    assert rows.select("track", "perturbation", "score").rows() == [
        ("format_matched", "jpeg_75", 3.0),
        ("in_the_wild", "none", 2.0),
    ]
    with pytest.raises(UserError, match="line 2: the set set has the tracks in_the_wild, format_matched, not as_ship"):
        give(listed, "file,score,track\ngan/1_fake/0.png,2,as_shipped\n")


def test_names_that_are_no_image_are_counted_and_alone_are_an_error(listed: SmallHome) -> None:
    lines: list[str] = []
    (listed.home.path / "scores.csv").write_text("file,score\ngan/1_fake/0.png,2\nelse/0.png,1\nelse/1.png,1\n")
    context = listed.context()
    table_scores.materialise(type(context)(context.home, WHOLE, lines.append))
    assert lines == ["theirs: 2 of 3 names in scores.csv match no image of any set"]
    with pytest.raises(UserError, match=r"\[detectors.theirs\]: none of the 1 names in .* is an image of a set"):
        give(listed, "file,score\nelse/0.png,1\n")
    with pytest.raises(UserError, match="line 3: the image has a score in line 2 already"):
        give(listed, "file,score\ngan/1_fake/0.png,2\n./gan/1_fake/0.png,2\n")
    (listed.home.path / "scores.csv").unlink()
    with pytest.raises(UserError, match=r"\[detectors.theirs\] scores = 'scores.csv': No such file"):
        listed.run(table_scores)


def test_another_table_makes_the_stage_stale(listed: SmallHome) -> None:
    give(listed, "file,score\ngan/1_fake/0.png,2\n")
    assert table_scores.is_current(listed.context())
    (listed.home.path / "scores.csv").write_text("file,score\ngan/1_fake/0.png,3\n")
    assert not table_scores.is_current(listed.context())
    listed.register("")
    listed.run(table_scores)
    assert listed.context().store.read("benchmark_scores", ["table_scores"]).is_empty()


def test_what_is_not_calibrated_is_listed_without_a_threshold(listed: SmallHome) -> None:
    text = "file,score,track\ngan/1_fake/0.png,2,\ngan/1_fake/0.png,2,format_matched\n"
    (listed.home.path / "scores.csv").write_text(text)
    listed.run(reference_pixel_scores)
    listed.run(other_detectors)
    rows = listed.context().store.read("detectors", ["others"]).filter(pl.col("detector") != "jpeg_history")
    assert rows.select("detector", "track").rows() == [
        ("format_rule", "as_shipped"),
        ("theirs", "as_shipped"),
        ("theirs", "format_matched"),
    ]
    for column in ("threshold", "threshold_from", "n_calibration", "false_positive_rate", "seen"):
        assert rows[column].null_count() == len(rows)
    assert str(listed.home.path) not in str(rows.to_dicts())


def test_the_format_rule_tells_a_set_by_its_files(small: SmallHome, tmp_path: Path) -> None:
    for number in range(40):
        picture(small.set / "gan" / "0_real" / f"more_{number}.jpg", 500 + number, 64)
        picture(small.set / "gan" / "1_fake" / f"more_{number}.png", 600 + number, 64)
    for partition in ("set.real", "set.gan"):
        small.run(benchmark_images, partition)
    digest = small.run(format_rule).digest
    rows = small.context().store.read("benchmark_scores", ["format_rule"])
    assert len(rows) == 86
    assert set(rows["track"]) == {"as_shipped"}
    right = rows.filter(pl.col("flagged") == (pl.col("label") == 1))
    assert len(right) >= 80
    assert small.run(format_rule).digest == digest


def test_the_format_rule_has_nothing_to_say_of_a_set_of_one_class(small: SmallHome) -> None:
    for path in (small.set / "gan" / "1_fake").iterdir():
        path.unlink()
    small.run(benchmark_images, "set.real")
    small.run(format_rule)
    rows = small.context().store.read("benchmark_scores", ["format_rule"])
    assert set(rows["reason"]) == {"no_score"}
    assert rows["flagged"].null_count() == 3
