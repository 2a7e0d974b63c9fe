"""The report: what it says of full, partial and hostile homes, and that it holds nothing from outside."""

import base64
import html
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.warehouse.synthetic_benchmark import HOSTILE, PERTURBATIONS, rows_of, sha
from warehouse import report_plots as plots
from warehouse.catalogue import build_catalogue, query
from warehouse.home import Home, UserError
from warehouse.report import write_report
from warehouse.store import Store

HomeBuilder = Callable[..., Home]
FACTS = {"code_version": "0.1.0+abc", "champion": "one_class"}


def page_of(home: Home, facts: dict[str, Any] | None = None) -> str:
    return write_report(home, FACTS if facts is None else facts).read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """The text a reader sees, in one line."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_headline_names_champion_data_and_interval(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home()))
    assert "The champion, which answers for single files, is one_class ." in words
    assert "AUROC on dev , track format_matched .690 [.62, .76]" in words
    assert "gets the higher score in 69% of cases (95% interval 62–76%); guessing gives 50%." in words
    assert "Simulated data only" not in words


def test_simulated_data_are_called_so_and_what_they_do_not_mean(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home(simulated=True)))
    assert "Simulated data only." in words
    assert "nothing about real cameras or about real generators" in words
    assert "cannot_tell to real pictures" in words


def test_guessing_is_called_guessing(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home(detectors={"one_class": -0.05})))
    assert "cannot be told from guessing" in words
    words = words_of(page_of(make_home(detectors={"one_class": -0.3}, name="worse")))
    assert "worse than guessing" in words


def test_a_better_detector_than_the_champion_is_named(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home(), {"champion": "complexity"}))
    assert "On this set one_class is ahead, with .690." in words


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ("empty", "No corpus has been read yet."),
        ("corpus", "No backbone has been trained yet."),
        ("training", "No detector has been evaluated yet."),
    ],
)
def test_absent_parts_are_said_to_be_absent(make_home: HomeBuilder, stop: str, said: str) -> None:
    words = words_of(page_of(make_home(stop), {"code_version": None, "champion": None}))
    assert said in words
    assert "Simulated data only" not in words
    for absent in ("None", "nan", "Undefined"):
        assert not re.search(rf"\b{absent}\b(?! yet\.|\.)", words)


def test_an_imported_backbone_is_named_and_nothing_is_claimed_of_it(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1}, name="imported")
    store = Store(home.tables)
    unknown = [pl.lit(None).alias(name) for name in ("steps", "photographs", "groups")]
    store.write("backbones", store.read("backbones").with_columns(pl.lit("imported").alias("origin"), *unknown).head(1))
    for table in ("pretext_metrics", "training_curve"):
        store.write(table, store.read(table).clear())
    build_catalogue(home, store)
    words = words_of(page_of(home))
    assert "The backbone b0a1c2d3e4f50617 (compact) was imported: it was trained elsewhere" in words
    assert not re.search(r"\b(None|nan|Undefined)\b", words)
    assert query(home, "pretext").rows == []


def test_without_a_champion_the_best_is_shown_as_what_it_is(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home(), {}))
    assert "No champion has been named yet. Shown is the detector with the best AUROC: one_class ." in words
    assert "Code version: unknown" in words


def test_a_champion_without_a_benchmark(make_home: HomeBuilder) -> None:
    words = words_of(page_of(make_home("training")))
    assert "It has not been measured on a benchmark set yet." in words


def test_metrics_without_values_are_dashes(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1})
    store = Store(home.tables)
    metrics = store.read("benchmark_metrics")
    floats = [name for name, kind in metrics.schema.items() if kind == pl.Float64]
    store.write(
        "benchmark_metrics", metrics.with_columns(pl.lit(None, pl.Float64).alias(n) for n in floats), partition="dev"
    )
    build_catalogue(home, store)
    words = words_of(page_of(home))
    assert "AUROC on dev , track format_matched – No AUROC" in words


def test_every_sql_shown_answers(make_home: HomeBuilder) -> None:
    home = make_home()
    shown = [html.unescape(text) for text in re.findall(r"<pre><code>(.*?)</code></pre>", page_of(home), re.DOTALL)]
    assert len(shown) > 15
    for sql in shown:
        assert query(home, sql).rows, sql


def test_counts_in_the_report_are_those_of_the_catalogue(make_home: HomeBuilder) -> None:
    home = make_home()
    words = words_of(page_of(home))
    ((learned, tags),) = query(home, "SELECT count(*) FILTER (WHERE learned), count(value) FROM pretext").rows
    assert f"For {learned} of {tags} tags" in words
    for _, source, reason, files, _ in query(home, "quarantine_reasons").rows:
        assert f"{source} {reason} {files}" in words


def test_the_same_catalogue_gives_the_same_bytes(make_home: HomeBuilder) -> None:
    home = make_home()
    first = page_of(home)
    build_catalogue(home, Store(home.tables))
    assert page_of(home) == first


def test_nothing_from_outside_and_nothing_of_the_machine(make_home: HomeBuilder, tmp_path: Path) -> None:
    page = page_of(make_home())
    bare = re.sub(r'<img src="data:image/jpeg;base64,[A-Za-z0-9+/=]+"', "<img", page)
    assert bare.count("<img") == 23
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|src\s*=|\bdata:image", bare)
    assert not re.findall(r"<(?:link|iframe|object)\b(?![^>]*href=\"data:,\")", page)
    assert str(tmp_path) not in page
    assert "default-src 'none'; img-src data:; style-src" in page


def test_only_jpegs_are_shown_as_pictures(make_home: HomeBuilder) -> None:
    page = page_of(make_home())
    assert "onload" not in page
    assert base64.b64encode(b"<svg onload=alert(1)>").decode() not in page
    assert "no picture" in words_of(page)


def test_names_from_strangers_disks_stay_text(make_home: HomeBuilder) -> None:
    home = make_home()
    store = Store(home.tables)
    for table in ("photo_scores", "benchmark_metrics", "benchmark_scores", "benchmark_comparisons", "detectors"):
        for partition in store.partitions(table):
            rows = store.read(table, [partition])
            named = rows.filter(detector="complexity").with_columns(pl.lit(HOSTILE).alias("detector"))
            named = named.with_columns(pl.lit(HOSTILE).alias("family")) if table == "detectors" else named
            store.write(table, pl.concat([rows, named]), partition=partition)
    build_catalogue(home, store)
    page = page_of(home)
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(" in page
    assert "\u202e" not in page
    shown = [html.unescape(text) for text in re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)]
    hostile = [sql for sql in shown if "chr(8238)" in sql]
    assert hostile
    assert all(query(home, sql).rows for sql in hostile)
    assert "\\u202e" in page


@pytest.mark.slow
def test_hundreds_of_generators_stay_below_three_megabytes(make_home: HomeBuilder) -> None:
    home = make_home()
    store = Store(home.tables)
    metrics = store.read("benchmark_metrics").filter(perturbation="none")
    one = metrics.filter(pl.col("generator") == "biggan", ~pl.col("detector").str.contains("_not_"))
    many = [one.with_columns(pl.lit(f"generator_{n:03d}").alias("generator")) for n in range(200)]
    store.write("benchmark_metrics", pl.concat([metrics, *many]), partition="dev")
    build_catalogue(home, store)
    page = page_of(home)
    assert "generator_199" in page
    assert len(page.encode()) < 3_000_000


@pytest.mark.slow
def test_a_whole_evaluation_stays_below_three_megabytes(make_home: HomeBuilder) -> None:
    """429 images under 22 conditions by 9 detectors and a family of 6, with pictures that hardly compress."""
    skills = {"one_class": 0.1, "binary": 0.1, **{f"detector_{n}": 0.01 * n for n in range(8)}}
    home = make_home(detectors=skills)
    store = Store(home.tables)
    scores = store.read("benchmark_scores").filter(image_id=sha("image 3"))
    images = store.read("benchmark_images").filter(image_id=sha("image 3"))
    features = store.read("benchmark_features").filter(image_id=sha("image 3"))
    copies = pl.DataFrame({"image_id": [sha(f"copy {n}") for n in range(429)], "label": [n % 2 for n in range(429)]})
    copies = copies.with_columns(pl.col("label").cast(pl.Int8))
    random = np.random.default_rng(0)
    conditions = pl.DataFrame({"perturbation": PERTURBATIONS})
    for table, rows in (("benchmark_scores", scores), ("benchmark_images", images), ("benchmark_features", features)):
        if "perturbation" in rows.columns:
            rows = rows.filter(perturbation="none").drop("perturbation").join(conditions, how="cross")
        names = [name for name in copies.columns if name in rows.columns]
        many = rows.drop(names).join(copies.select(names), how="cross")
        if table == "benchmark_scores":
            many = many.with_columns(pl.Series("score", random.standard_normal(len(many))))
        if table == "benchmark_features":
            many = many.with_columns(pl.Series("complexity", random.lognormal(1, 0.5, len(many))))
        store.write(table, many.select(rows_of(table, []).columns), partition="dev.biggan")
    noise = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (120, 120, 3), dtype=np.uint8)).save(noise, format="JPEG", quality=85)
    pictures = store.read("benchmark_extremes").with_columns(pl.lit(noise.getvalue()).alias("picture"))
    more = [pictures.with_columns((pl.col("place") + 6 * n).cast(pl.Int16).alias("place")) for n in range(4)]
    store.write("benchmark_extremes", pl.concat(more))
    build_catalogue(home, store)
    page = page_of(home)
    assert page.count("<img") == 32
    longest = max(len(path.split("L")) for path in re.findall(r'class="curve[^"]*" d="([^"]*)"', page))
    assert 100 < longest <= 205
    assert len(page.encode()) < 3_000_000


def test_without_a_catalogue_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing published yet"):
        write_report(Home(tmp_path), FACTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7434, ".743"),
        (1.0, "1.000"),
        (0.9996, "1.000"),
        (0.0, ".000"),
        (-0.0001, ".000"),
        (-0.05, "−.050"),
        (None, "–"),
    ],
)
def test_scores_are_written_alike(value: float | None, text: str) -> None:
    assert plots.score(value) == text


def test_intervals_differences_and_shares_are_written_alike() -> None:
    assert plots.interval(0.743, 0.7, 0.78) == ".743 [.70, .78]"
    assert plots.interval(0.743, None, None) == ".743"
    assert plots.percent_interval(0.048, 0.031, 0.07) == "4.8% [3.1, 7.0]"
    assert plots.count(1234567) == "1\u202f234\u202f567"


@pytest.mark.parametrize(("value", "place"), [(0.0, "0.00%"), (0.25, "50.00%"), (0.9, "100.00%"), (-1.0, "0.00%")])
def test_marks_lie_on_the_scale_and_never_beyond(value: float, place: str) -> None:
    assert plots.Scale.of((0, 0.5), ("0", ".5")).place(value) == place


@pytest.mark.parametrize(("nominal", "highest", "end"), [(0.01, 0.0, 0.02), (0.05, 0.12, 0.2), (0.1, 0.9, 1.0)])
def test_rate_scales_hold_nominal_rate_and_intervals(nominal: float, highest: float, end: float) -> None:
    assert plots.rate_scale(nominal, highest).high == end


def test_a_line_keeps_its_ends_and_is_thinned() -> None:
    steps = list(range(0, 10_001, 10))
    line = plots.Line.of("loss", steps, [1 - step / 10_000 for step in steps])
    points = line.points.split()
    assert len(points) <= plots.MAXIMAL_POINTS + 1
    assert (points[0], points[-1]) == ("0.0,10.0", "1000.0,290.0")
    assert plots.Line.of("one", [5], [0.5]).points == "0.0,290.0"
