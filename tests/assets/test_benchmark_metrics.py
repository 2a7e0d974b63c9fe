"""Metrics, comparisons and calibration of small scored sets, against what the models say of the same arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from assets.benchmark_metrics import benchmark_calibration, benchmark_comparisons, benchmark_metrics
from assets.stage import Context, Stage
from models.comparison import compare
from models.metrics import evaluate
from tests.assets.scored_home import Made, make_home, png, rows_of
from warehouse.home import Home
from warehouse.store import Store

REALS = {"web": 24, "faces": 12}
FAKES: dict[str, tuple[int, str | None]] = {"sd": (22, "web"), "gan": (21, "faces"), "tiny": (4, None)}
CONDITIONS = (("format_matched", "none"), ("format_matched", "jpeg_75"), ("as_shipped", "none"))
SKILL = {"one_class": 0.3, "binary": 0.6, "rule": 0.1}


def score(detector: str, track: str, perturbation: str, image: Made) -> float | None:
    if detector == "rule" and image.number % 9 == 0:
        return None
    seed = (len(detector), len(track), len(perturbation), image.number)
    noise = np.random.default_rng(seed).random()
    return float(0.7 * noise + image.row["label"] * SKILL[detector])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[Made]]:
    return make_home(
        tmp_path_factory.mktemp("scored"),
        REALS,
        FAKES,
        score,
        detectors=list(SKILL),
        seen={"binary": "train.gan+other.unheard"},
        conditions=CONDITIONS,
        without_threshold=["rule"],
    )


def rows(stage: Stage, home: Home) -> pl.DataFrame:
    table = stage.function(Context(home)).tables[stage.tables[0]]
    assert isinstance(table, pl.DataFrame)
    return table


@pytest.fixture(scope="module")
def metrics(made: tuple[Home, list[Made]]) -> pl.DataFrame:
    return rows(benchmark_metrics, made[0])


def one(table: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    (row,) = table.filter(**wanted).to_dicts()
    return row


def test_every_detector_generator_and_condition_has_a_row(metrics: pl.DataFrame) -> None:
    assert len(metrics) == len(SKILL) * 5 * len(CONDITIONS)
    keys = ["detector", "dataset", "generator", "track", "perturbation"]
    assert not metrics.select(keys).is_duplicated().any()
    assert set(metrics["generator"]) == {"sd", "gan", "tiny", "small_sets", "all"}
    assert set(metrics["detector_id"]) == {f"id {name}" for name in SKILL}


def test_a_row_is_what_the_metrics_say_of_its_images(made: tuple[Home, list[Made]], metrics: pl.DataFrame) -> None:
    images = sorted(
        (each for each in made[1] if each.row["generator"] in ("real", "sd") and each.row["source"] != "faces"),
        key=lambda each: str(each.row["image_id"]),
    )
    labels = [each.row["label"] for each in images]
    scores = np.array([score("one_class", "format_matched", "jpeg_75", each) for each in images], dtype=np.float64)
    expected = evaluate(
        labels,
        scores,
        scores > 0.5,
        [each.row["source"] for each in images],
        complexity=[each.number % 7 for each in images],
    )
    row = one(metrics, detector="one_class", generator="sd", perturbation="jpeg_75")
    assert row | vars(expected) == row
    assert row["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert row["auroc_equal_complexity"] not in (None, row["auroc"])
    assert (row["n_real"], row["n_fake"], row["left_out"], row["seen"]) == (24, 22, 0, False)


def test_images_without_a_score_are_left_out_and_counted(made: tuple[Home, list[Made]], metrics: pl.DataFrame) -> None:
    row = one(metrics, detector="rule", generator="all", track="as_shipped")
    unscored = [each for each in made[1] if each.number % 9 == 0]
    assert row["left_out"] == len(unscored)
    assert row["n_real"] == 36 - sum(1 - each.row["label"] for each in unscored)
    assert row["n_real"] + row["n_fake"] + row["left_out"] == len(made[1])


def test_where_nothing_can_be_judged_the_cell_is_there_and_empty(tmp_path: Path) -> None:
    def never_small(detector: str, track: str, perturbation: str, image: Made) -> float | None:
        return None if perturbation == "resize_0.25" else image.number / 30

    conditions = [("format_matched", "none"), ("format_matched", "resize_0.25")]
    home, _ = make_home(tmp_path, {"web": 5}, {"sd": (20, None)}, never_small, conditions=conditions)
    row = one(rows(benchmark_metrics, home), generator="sd", perturbation="resize_0.25")
    assert (row["n_real"], row["n_fake"], row["left_out"]) == (0, 0, 25)
    assert row["auroc"] is row["accuracy_real"] is row["auroc_equal_complexity"] is None


def test_an_image_of_two_generators_counts_in_both(tmp_path: Path) -> None:
    def twice(number: int) -> bytes:
        return png(5 if number == 6 else number)

    home, _ = make_home(tmp_path, {"web": 5}, {"gan": (1, None), "sd": (2, None)}, lambda *_: 0.5, picture=twice)
    table = rows(benchmark_metrics, home)
    assert dict(table.select("generator", "n_fake").iter_rows()) == {"gan": 1, "sd": 2, "small_sets": 3, "all": 3}


def test_without_threshold_there_are_no_accuracies(metrics: pl.DataFrame) -> None:
    accuracies = metrics.select(
        "detector", pl.col("^(accuracy|balanced).*$").is_null().name.keep(), pl.col("auroc").is_null()
    ).drop("auroc")
    without = accuracies.filter(detector="rule").drop("detector")
    assert all(without[name].all() for name in without.columns)
    known = accuracies.filter(detector="one_class").drop("detector")
    assert not any(known[name].any() for name in known.columns)
    assert metrics["auroc"].null_count() == 0


def test_seen_generators_are_marked_and_not_in_all(metrics: pl.DataFrame) -> None:
    seen = metrics.filter(pl.col("seen"))
    assert set(seen.select("detector", "generator").iter_rows()) == {("binary", "gan")}
    assert one(metrics, detector="binary", generator="all", perturbation="jpeg_75")["n_fake"] == 26
    assert one(metrics, detector="one_class", generator="all", perturbation="jpeg_75")["n_fake"] == 47
    assert set(metrics.filter(detector="binary", generator="all")["n_real"]) == {36}


def test_the_tables_are_the_same_bytes_again(made: tuple[Home, list[Made]], metrics: pl.DataFrame) -> None:
    store = Store(made[0].tables)
    for stage in (benchmark_metrics, benchmark_comparisons, benchmark_calibration):
        first, second = (store.write_shard(stage.tables[0], rows(stage, made[0])) for _ in range(2))
        assert first == second


def test_pairs_of_detectors_are_compared_in_both_directions(made: tuple[Home, list[Made]]) -> None:
    table = rows(benchmark_comparisons, made[0])
    keys = ["dataset", "track", "generator", "detector", "other"]
    assert not table.select(keys).is_duplicated().any()
    # On two tracks; the binary detector has seen one of five.
    assert len(table) == 2 * 2 * (5 + 4 + 4)
    assert table.filter((pl.col("detector") == "binary") | (pl.col("other") == "binary"), generator="gan").is_empty()
    assert table.filter(pl.col("detector") == pl.col("other")).is_empty()
    mirrored = table.join(table, left_on=keys, right_on=[*keys[:3], "other", "detector"])
    assert len(mirrored) == len(table)
    for forward, back in (("difference", "difference"), ("difference_low", "difference_high")):
        assert (mirrored[forward] + mirrored[f"{back}_right"]).abs().max() == 0
    assert (mirrored["p_value"] == mirrored["p_value_right"]).all()
    assert (table["difference_low"] <= table["difference"]).all()


def test_a_comparison_is_of_the_images_that_both_scored(made: tuple[Home, list[Made]]) -> None:
    table = rows(benchmark_comparisons, made[0])
    images = sorted(
        (each for each in made[1] if each.row["generator"] != "gan" and each.number % 9),
        key=lambda each: str(each.row["image_id"]),
    )
    a, b = (
        np.array([score(name, "format_matched", "none", each) for each in images], dtype=np.float64)
        for name in ("binary", "rule")
    )
    expected = compare([each.row["label"] for each in images], a, b, [each.row["source"] for each in images])
    row = one(table, track="format_matched", generator="all", detector="binary", other="rule")
    assert row | vars(expected) == row
    assert row["difference"] > 0


def test_calibration_is_on_photographs_with_p_values_and_not_perturbed(made: tuple[Home, list[Made]]) -> None:
    table = rows(benchmark_calibration, made[0])
    benchmark = table.filter(origin="dev")
    assert set(benchmark["detector"]) == {"one_class", "binary"}
    assert set(benchmark.select("track", "source", "photographs").iter_rows()) == {
        (track, source, count) for track in ("format_matched", "as_shipped") for source, count in REALS.items()
    }
    assert sorted(set(table["nominal_fpr"])) == [0.01, 0.02, 0.05, 0.1]
    validation = one(table, origin="validation", detector="one_class", nominal_fpr=0.1)
    # Fold 3 has the even numbers; of their p-values 0.1 alone is at or below 0.1.
    assert (validation["photographs"], validation["flagged"], validation["source"]) == (10, 1, "photos")


def test_a_photograph_of_two_sources_counts_in_both(tmp_path: Path) -> None:
    home, _ = make_home(tmp_path, {"web+faces": 3, "web": 2}, {"sd": (2, None)}, lambda *_: 0.5)
    table = rows(benchmark_calibration, home).filter(origin="dev", nominal_fpr=0.05)
    assert dict(table.select("source", "photographs").iter_rows()) == {"web": 5, "faces": 3}


def test_sets_are_apart_and_what_is_no_longer_registered_is_dropped(tmp_path: Path) -> None:
    home, _ = make_home(tmp_path, {"web": 5}, {"sd": (20, None)}, lambda *_: 0.5)
    make_home(tmp_path, {"web": 7}, {"sd": (20, None)}, lambda *_: 0.5, name="wild")
    store = Store(home.tables)
    store.write("benchmark_scores", rows_of("benchmark_scores", []), partition="gone.sd")
    table = rows(benchmark_metrics, home).filter(generator="sd")
    assert dict(table.select("dataset", "n_real").iter_rows()) == {"dev": 5, "wild": 7}
    assert "gone.sd" not in store.partitions("benchmark_scores")
