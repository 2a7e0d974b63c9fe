"""The whole chain on the simulated corpus: photographs in at one end, a measured verdict out at the other."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from assets.chain import STAGES
from assets.champions import HISTORY
from assets.partitions import partition_keys
from tests.end_to_end.conftest import Sdaie
from warehouse.catalogue import query
from warehouse.home import Home
from warehouse.store import WHOLE, Store


def tables(home: Home) -> dict[str, bytes]:
    """Every file of the tables but the Parquet files that no manifest names, and the history, which has times."""
    store = Store(home.tables)
    named = {path for stage in STAGES for table in (*stage.tables, "quarantine") for path in store.paths(table)}
    manifests = set(home.tables.rglob("manifest.json")) - set((home.tables / HISTORY).rglob("manifest.json"))
    return {path.relative_to(home.tables).as_posix(): path.read_bytes() for path in named | manifests}


def test_every_file_is_a_photograph_or_quarantined_with_a_reason(finished: Home) -> None:
    store = Store(finished.tables)
    files = store.read("files")
    listed = {
        path.relative_to(finished.simulated / "corpus").as_posix()
        for path in finished.simulated.rglob("*")
        if path.is_file() and path.is_relative_to(finished.simulated / "corpus")
    }
    assert set(files["uri"]) == listed
    refused = store.read("quarantine", ["files.simulated"])
    assert set(refused["uri"]) == set(files.filter(pl.col("state") == "quarantined")["uri"])
    assert set(refused["reason"]) == {"empty", "not_an_image"}
    photos = len(store.read("photos"))
    assert photos == len(files) - len(refused)
    assert len(store.read("exif_raw")) + len(store.read("quarantine", ["exif_raw"])) == photos
    cut = store.read("quarantine", ["crops"])
    assert cut["reason"].to_list() == ["corrupt"]
    assert store.read("crops")["photo_id"].n_unique() + len(cut) == photos
    assert store.read("reference_features")["photo_id"].n_unique() + 1 == photos


def test_folds_hold_groups_apart_and_are_even(finished: Home) -> None:
    targets = Store(finished.tables).read("pretext_targets")
    assert targets.group_by("group").agg(pl.col("fold").n_unique())["fold"].max() == 1
    sizes = targets.group_by("fold").len()["len"]
    assert len(sizes) == 5
    assert max(sizes) - min(sizes) <= 1 + targets.group_by("group").len()["len"].max()  # type: ignore[operator]


def test_the_exif_of_a_simulated_photograph_is_read(finished: Home) -> None:
    exif = Store(finished.tables).read("exif")
    assert exif["simulated"].all()
    for column in ("make", "iso", "exposure_time_s", "f_number", "focal_length_mm", "flash"):
        assert exif[column].null_count() < len(exif) / 2
    assert len(Store(finished.tables).read("exif_issues")) > 0


FEATURES = ["complexity", "one_class_published"]
SQUARES = [
    *("coding", "combined", "one_class", "one_class_co_occurrences", "one_class_handmade"),
    *("one_class_untrained", "reconstruction", "reconstruction_linear"),
]
PIXELS = ["binary", "brightness", "jpeg_history", *SQUARES]
GRID = ["blur_1", "jpeg_75", "jpeg_95", "none", "resize_0.5", "resize_0.5+jpeg_75"]
SETS = ["halved", "simulated"]


def test_every_detector_judges_every_image_under_every_condition(finished: Home) -> None:
    store = Store(finished.tables)
    scores = store.read("benchmark_scores")
    images = store.read("benchmark_images").group_by("dataset").len().sort("dataset").rows()
    by_condition = scores.group_by("dataset", "detector", "track", "perturbation").len()
    found = {tuple(row[:4]): row[4] for row in by_condition.iter_rows()}
    expected = {
        (dataset, detector, track, perturbation): count
        for dataset, count in images
        for detector in FEATURES + PIXELS
        for track, grid in (("as_shipped", ["none"]), ("format_matched", GRID))
        for perturbation in grid
    } | {(dataset, "format_rule", "as_shipped", "none"): count for dataset, count in images}
    assert found == expected
    reasons = scores.filter(pl.col("score").is_null()).group_by("detector", "reason").len().rows()
    trained = len(store.read("binary_images").filter(pl.col("part") == "train"))
    assert trained > 0
    assert reasons == [("binary", "trained_on", 7 * trained)]
    assert scores.filter(pl.col("detector").is_in(FEATURES + PIXELS))["p_value"].null_count() == 7 * trained


def test_metrics_stand_for_every_detector_and_seen_generators_are_marked(finished: Home) -> None:
    metrics = Store(finished.tables).read("benchmark_metrics")
    everything = metrics.filter(pl.col("generator") == "all", pl.col("perturbation") == "none")
    assert len(everything) == len(SETS) * (2 * len(FEATURES + PIXELS) + 1)
    # The generators of both sets have the same names, so the binary detector has seen them all.
    assert metrics.filter(pl.col("seen"))["detector"].unique().to_list() == ["binary"]
    assert everything.filter(pl.col("detector") == "binary")["auroc"].null_count() == 4
    rest = metrics.filter(pl.col("detector") != "binary")
    assert rest["auroc"].is_between(0, 1).all()
    assert rest["auroc"].null_count() == 0


def test_pairs_extremes_and_hashes_are_there(finished: Home) -> None:
    store = Store(finished.tables)
    extremes = store.read("benchmark_extremes")
    assert set(extremes["side"]) == {"most", "least"}
    assert extremes["picture"].null_count() == 0
    pairs = store.read("benchmark_comparisons").filter(pl.col("generator") == "all")
    assert pairs.filter(pl.col("detector") == "one_class")["other"].n_unique() == len(FEATURES + PIXELS)
    assert store.read("near_duplicates").is_empty()
    # The damaged photograph cannot be decoded.
    assert len(store.read("perceptual_hashes", ["photos"])) == len(store.read("photos")) - 1


def test_the_catalogue_and_the_report_are_published(finished: Home) -> None:
    assert len(query(finished, "leaderboard").rows) == len(SETS) * (2 * len(FEATURES + PIXELS) + 1)
    page = finished.report.read_text(encoding="utf-8")
    assert "one_class_untrained" in page
    assert str(finished.path) not in page


def test_no_table_names_a_path_of_the_machine(finished: Home) -> None:
    for name, content in tables(finished).items():
        assert str(finished.path).encode() not in content, name


def test_a_second_run_says_in_one_line_that_there_is_nothing_to_do(finished: Home, sdaie: Sdaie) -> None:
    said = sdaie(finished.path, "run")
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.splitlines() == ["nothing to do: everything registered is up to date"]


def test_a_home_can_be_moved(finished: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    moved = Home(tmp_path / "moved")
    shutil.copytree(finished.path, moved.path)
    said = sdaie(moved.path, "query", "SELECT count(*) AS n FROM exif_raw", "--format", "json")
    assert json.loads(said.stdout) == [{"n": len(Store(finished.tables).read("exif_raw"))}]
    assert "nothing to do" in sdaie(moved.path, "run").stderr


def test_a_corpus_taken_out_is_gone_from_the_tables(finished: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    extra = tmp_path / "extra"
    extra.mkdir()
    picture = next((finished.simulated / "corpus").rglob("IMG_0002.jpg"))
    for name in ("same.jpg", "again.jpg"):
        shutil.copy(picture, extra / name)
    assert sdaie(home.path, "corpus", "add", "extra", str(extra), "--use", "reference").returncode == 0
    assert sdaie(home.path, "run", "--only", "corpus").returncode == 0
    store = Store(home.tables)
    assert store.partitions("files") == ["extra", "simulated"]
    assert store.read("photos").equals(
        Store(finished.tables)
        .read("photos")
        .with_columns(
            places=pl.when(pl.col("uri") == picture.relative_to(finished.simulated / "corpus").as_posix())
            .then(3)
            .otherwise(1)
            .cast(pl.Int32)
        )
    )
    home.registry.write_text(finished.registry.read_text())
    assert sdaie(home.path, "run", "--only", "corpus").returncode == 0
    assert store.partitions("files") == ["simulated"]
    assert store.read("photos").equals(Store(finished.tables).read("photos"))


def test_what_was_learned_from_is_not_scored(finished: Home, tmp_path: Path, sdaie: Sdaie) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(finished.path, home.path)
    real = home.simulated / "benchmark" / "leak" / "0_real"
    real.mkdir(parents=True)
    shutil.copy(next((finished.simulated / "corpus").rglob("IMG_0001.jpg")), real / "known.jpg")
    said = sdaie(home.path, "run")
    assert said.returncode == 1
    assert "known.jpg" in said.stderr
    assert "learned from" in said.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 1, "nothing is registered"),
        (["query", "leaderboard"], 1, "nothing published"),
        (["corpus", "add", "a", "/nowhere"], 1, "no such file"),
        (["corpus", "add", "a"], 2, "Missing argument"),
        (["fly"], 2, "No such command"),
        (["detect"], 2, "Missing argument"),
        (["run", "--only", "everything"], 2, "Invalid value"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    tmp_path: Path, sdaie: Sdaie, words: list[str], code: int, said: str
) -> None:
    answer = sdaie(tmp_path / "home", *words)
    assert answer.returncode == code
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    if code == 1:
        assert len(answer.stderr.splitlines()) == 1


def test_partitions_are_those_registered(finished: Home) -> None:
    assert partition_keys(finished, "corpora") == ["simulated"]
    generators = partition_keys(finished, "benchmark")
    assert "simulated.real" in generators
    assert Store(finished.tables).partitions("benchmark_scores") == sorted([*generators, "format_rule", "table_scores"])
    assert WHOLE not in generators
