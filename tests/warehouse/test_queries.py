"""The ready queries that judge detectors: families, what was trained on, perturbations, makes, what changed."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from tests.warehouse.synthetic_benchmark import DETECTORS, LARGE, PERTURBATIONS, SMALL, loss_of, write_metrics
from warehouse.catalogue import build_catalogue, query
from warehouse.home import Home
from warehouse.shards import frame
from warehouse.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(make_home: Any) -> Home:
    home: Home = make_home()
    return home


def rows_of(home: Home, sql: str) -> list[dict[str, Any]]:
    answer = query(home, sql)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def test_each_generator_meets_the_member_that_has_not_seen_it(home: Home) -> None:
    where = "WHERE detector = 'binary' AND track = 'format_matched'"
    rows = rows_of(home, f"FROM per_generator {where}")
    assert {row["generator"]: row["member"] for row in rows if not row["seen"]} == {
        generator: f"binary_not_dev_{generator}" for generator in LARGE | SMALL
    }
    # Whoever has not seen one of the small generators has seen the other, so nothing pools them.
    assert not [row for row in rows if row["seen"] or row["generator"] == "small_sets"]


def test_a_family_is_summed_up_over_generators_and_has_no_metric_over_all(home: Home) -> None:
    (row,) = rows_of(home, "FROM leaderboard WHERE detector = 'binary' AND track = 'format_matched'")
    cells = query(
        home,
        "SELECT auroc FROM benchmark_metrics WHERE detector LIKE 'binary_not_%' AND NOT seen AND perturbation = 'none' "
        "AND track = 'format_matched' AND generator <> 'all' AND n_fake >= 20",
    ).rows
    aurocs = [auroc for (auroc,) in cells]
    assert (row["members"], row["generators"], row["seen"]) == (6, 4, 0)
    assert row["auroc"] is row["auroc_high"] is row["auroc_equal_complexity"] is row["accuracy_fake"] is None
    assert row["auroc_mean"] == pytest.approx(sum(aurocs) / 4)
    assert row["auroc_worst"] == min(aurocs)
    assert (row["n_real"], row["n_fake"]) == (180, sum((LARGE | SMALL).values()))


def test_generators_trained_on_are_counted_and_left_out_of_the_mean(home: Home) -> None:
    store = Store(home.tables)
    metrics = store.read("benchmark_metrics")
    known = (pl.col("detector") == "one_class") & (pl.col("generator") == "stylegan2")
    changed = metrics.with_columns(
        (pl.col("seen") | known).alias("seen"), pl.when(known).then(0.01).otherwise("auroc").alias("auroc")
    )
    store.write("benchmark_metrics", changed, partition="dev")
    build_catalogue(home, store)
    for row in rows_of(home, "FROM leaderboard WHERE detector = 'one_class'"):
        assert row["seen"] == 1
        assert row["auroc"] is not None
        assert row["worst_generator"] != "stylegan2"
    (cell,) = rows_of(
        home,
        "FROM per_generator WHERE detector = 'one_class' AND generator = 'stylegan2' AND track = 'format_matched'",
    )
    assert (cell["seen"], cell["auroc"]) == (True, 0.01)


def test_a_set_that_no_member_was_trained_on_is_judged_by_one_of_them(home: Home) -> None:
    store = Store(home.tables)
    foreign = store.read("benchmark_metrics").with_columns(pl.lit("new").alias("dataset"), seen=pl.lit(False))
    store.write("benchmark_metrics", foreign, partition="new")
    build_catalogue(home, store)
    rows = rows_of(
        home, "FROM per_generator WHERE dataset = 'new' AND detector = 'binary' AND track = 'format_matched'"
    )
    assert len(rows) == len({row["generator"] for row in rows})
    assert {row["member"] for row in rows} == {"binary_not_dev_biggan"}


def test_every_perturbation_is_set_against_none(home: Home) -> None:
    rows = rows_of(home, "FROM robustness WHERE track = 'format_matched'")
    assert len(rows) == len(DETECTORS) * len(PERTURBATIONS)
    for row in rows:
        if row["detector"] == "one_class":
            assert row["loss"] == pytest.approx(loss_of(row["perturbation"]))
    family = {row["perturbation"]: row for row in rows if row["detector"] == "binary"}
    assert family["jpeg_75"]["auroc"] is None
    assert family["jpeg_75"]["loss"] == pytest.approx(family["none"]["auroc_mean"] - family["jpeg_75"]["auroc_mean"])
    assert {row["perturbation"] for row in rows_of(home, "FROM robustness WHERE track = 'as_shipped'")} == {"none"}


def test_perturbed_images_are_in_no_query_about_untouched_ones(make_home: Any) -> None:
    home: Home = make_home(detectors={"one_class": 0.1})
    for name in ("leaderboard", "per_generator", "left_out"):
        before = query(home, name)
        store = Store(home.tables)
        for table in ("benchmark_metrics", "benchmark_scores"):
            for partition in store.partitions(table):
                rows = store.read(table, [partition]).filter(perturbation="none")
                store.write(table, rows, partition=partition)
        build_catalogue(home, store)
        assert query(home, name) == before


def test_false_positives_by_make_have_wilsons_interval(home: Home) -> None:
    rows = rows_of(home, "FROM false_positives_by_make WHERE detector = 'one_class' AND track = 'format_matched'")
    assert {(row["role"], row["make"], row["photographs"]) for row in rows} == {
        (role, make, 3) for role in ("validation", "calibration") for make in ("Apple", "Canon", "Nikon", "no make")
    }
    flagged = {(row["role"], row["make"]): row for row in rows if row["flagged"]}
    assert set(flagged) == {("validation", "no make"), ("calibration", "Apple")}
    for row in flagged.values():
        # Wilson's interval of 1 in 3, as in Brown, Cai and DasGupta (2001).
        ends = (row["rate"], row["rate_low"], row["rate_high"])
        assert ends == pytest.approx((1 / 3, 0.06149, 0.79234), abs=1e-4)
    assert all(row["rate_low"] == 0 and row["rate_high"] < 0.6 for row in rows if not row["flagged"])


def test_comparisons_are_there_both_ways_round(home: Home) -> None:
    rows = rows_of(home, "FROM comparisons WHERE generator = 'all' AND 'one_class' IN (detector, other)")
    ours = {row["other"]: row for row in rows if row["detector"] == "one_class"}
    theirs = {row["detector"]: row for row in rows if row["other"] == "one_class"}
    assert ours.keys() == theirs.keys()
    for name, row in ours.items():
        assert row["difference"] == -theirs[name]["difference"]
        assert row["difference_low"] == -theirs[name]["difference_high"]
    assert ours["complexity"]["verdict"] == "better"
    assert theirs["complexity"]["verdict"] == "worse"
    assert ours["binary_not_dev_flux"]["verdict"] == "undecided"


def test_changes_are_against_the_last_catalogue_with_other_metrics(home: Home) -> None:
    rows = rows_of(home, "FROM changes WHERE detector = 'one_class' AND generator = 'all'")
    assert len(rows) == len(PERTURBATIONS) + 1
    assert all(row["difference"] == pytest.approx(0.03) and row["there"] == "now and before" for row in rows)
    before = query(home, "FROM benchmark_metrics_before")
    store = Store(home.tables)
    store.drop("quarantine", "crops")
    build_catalogue(home, store)
    assert query(home, "FROM benchmark_metrics_before") == before
    now = query(home, "FROM benchmark_metrics").rows
    write_metrics(store, {"one_class": DETECTORS["one_class"], "new": 0.3})
    build_catalogue(home, store)
    assert query(home, "FROM benchmark_metrics_before").rows == now
    sides = query(home, "SELECT DISTINCT there, detector = 'new' FROM changes WHERE there <> 'now and before'").rows
    assert set(sides) == {("only now", True), ("only before", False)}


def test_the_first_catalogue_has_nothing_before_it_and_no_changes(home: Home) -> None:
    home.catalogue.unlink()
    build_catalogue(home, Store(home.tables))
    assert query(home, "FROM benchmark_metrics_before").rows == []
    assert query(home, "changes").rows == []


@pytest.mark.parametrize("damage", ["no catalogue", "cut", "other columns", "no former metrics"])
def test_a_former_catalogue_that_cannot_be_read_counts_as_none(home: Home, damage: str) -> None:
    if damage == "no catalogue":
        home.catalogue.write_text("something else" * 1000)
    elif damage == "cut":
        home.catalogue.write_bytes(home.catalogue.read_bytes()[:300_000])
    else:
        with duckdb.connect(str(home.catalogue)) as connection:
            name = "benchmark_metrics" if damage == "other columns" else "benchmark_metrics_before"
            if damage == "other columns":
                connection.execute("DROP VIEW family_metrics; ALTER TABLE benchmark_metrics DROP COLUMN seen")
            else:
                connection.execute(f"DROP TABLE {name}")
    build_catalogue(home, Store(home.tables))
    assert query(home, "FROM benchmark_metrics_before").rows == []
    assert query(home, "leaderboard").rows


READER = """
import sys
from pathlib import Path
from tests.warehouse.test_queries import read_until
from warehouse.home import Home
from warehouse.shards import frame

print("ready", flush=True)
print(read_until(Home(Path(sys.argv[1])), Path(sys.argv[2])))
"""


def read_until(home: Home, stop: Path) -> int:
    """Ask until the file `stop` is there, and return how many catalogues were met; each must be whole and no older."""
    met: list[str] = []
    sql = (
        "SELECT (SELECT any_value(detector_id) FROM champions), (SELECT any_value(hash) FROM perceptual_hashes), "
        "(SELECT count(*) FROM leaderboard)"
    )
    while not stop.exists():
        ((copied, seen, rows),) = query(home, sql).rows
        assert copied == seen
        assert rows == 2
        if not met or copied != met[-1]:
            met.append(copied)
        # Leaves the processor to whoever publishes.
        time.sleep(0.02)
    assert met == sorted(met)
    return len(met)


@pytest.mark.slow
def test_readers_meet_whole_catalogues_alone_while_they_are_swapped(make_home: Any, tmp_path: Path) -> None:
    home: Home = make_home(detectors={"one_class": 0.1})
    store, stop = Store(home.tables), tmp_path / "stop"

    def publish(number: int) -> None:
        # A table that the catalogue copies, and one that it views.
        for table, column, partition in (("champions", "detector_id", "all"), ("perceptual_hashes", "hash", "photos")):
            rows = store.read(table).with_columns(pl.lit(f"{number:04}").alias(column))
            store.write(table, rows, partition=partition)
        build_catalogue(home, store)

    publish(0)
    command = [sys.executable, "-c", READER, str(home.path), str(stop)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        with ThreadPoolExecutor(1) as threads:
            thread = threads.submit(read_until, home, stop)
            try:
                for number in range(1, 9):
                    publish(number)
            finally:
                stop.touch()
            assert thread.result() >= 2
    finally:
        stop.touch()
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert int(said) >= 2


def test_exif_issues_are_counted_with_their_share_and_the_most_frequent_value(home: Home) -> None:
    store = Store(home.tables)
    ids = store.read("exif")["photo_id"].to_list()
    rows = [(ids[0], "8"), (ids[1], "9"), (ids[2], "9")]
    issues = [{"photo_id": p, "tag": "ExifIFD:Flash", "reason": "unknown_code", "raw_value": v} for p, v in rows]
    store.write("exif_issues", frame("exif_issues", issues))
    build_catalogue(home, store)
    answer = query(home, "exif_issues")
    assert answer.rows == [("unknown_code", "ExifIFD:Flash", 3, 3 / len(ids), "9", min(ids[1], ids[2]))]


def test_exif_agreement_has_the_least_first_and_an_example(home: Home) -> None:
    store = Store(home.tables)
    counts = {"compared": 8, "only_exiftool": 1, "only_pillow": 1}
    agreement = [{"tag": "iso", "agreed": 7, **counts}, {"tag": "make", "agreed": 8, **counts, "only_exiftool": 0}]
    store.write("exif_agreement", frame("exif_agreement", agreement))
    differing = [{"photo_id": p, "tag": "iso", "exiftool": "100.0", "pillow": p} for p in ("b", "a")]
    store.write("exif_disagreements", frame("exif_disagreements", differing))
    build_catalogue(home, store)
    rows = query(home, "exif_agreement").rows
    assert rows[0] == ("iso", 0.7, 8, 7, 1, 1, "a", "100.0", "a")
    assert rows[1] == ("make", 8 / 9, 8, 8, 0, 1, None, None, None)


def test_drift_has_the_verdict_first_and_then_what_makes_it_due(home: Home) -> None:
    rows = query(home, "drift").rows
    assert [row[:3] for row in rows] == [
        ("retraining", "all", True),
        ("unseen_make", "all", True),
        ("missing_tag", "iso", False),
    ]


def test_the_newest_decision_is_first_and_says_first_what_stands_against_it(home: Home) -> None:
    rows = query(home, "decisions").rows
    assert [row[0] for row in rows] == [2, 1]
    assert rows[0][2:] == ("refused", "pipeline", "second", "first", "first", "AUROC .61 against .66; 5% of 90")
    assert rows[1][2:] == ("promoted", "pipeline", "first", None, "first", "5% of 90")
