"""What the sections of the report say of synthetic tables: families, companions, curves, robustness, makes, changes."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.warehouse.synthetic_benchmark import FAMILY, PERTURBATIONS, write_metrics
from tests.warehouse.test_report import FACTS, page_of, words_of
from warehouse import report_charts as charts
from warehouse.catalogue import build_catalogue, query
from warehouse.home import Home
from warehouse.report_plots import p_value, signed, signed_interval
from warehouse.report_scores import CURVES
from warehouse.store import Store

HomeBuilder = Callable[..., Home]


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def rewrite(home: Home, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the rows of a table in every partition, and publish."""
    store = Store(home.tables)
    for partition in store.partitions(table):
        store.write(table, change(store.read(table, [partition])), partition=partition)
    build_catalogue(home, store)


def test_companions_stand_apart_and_say_what_the_set_gives_away(make_home: HomeBuilder) -> None:
    board = section(page_of(make_home()), "leaderboard")
    first = board[: board.index("</table>")]
    apart = first[first.index('class="apart"') :]
    assert re.findall(r'data-sort="([a-z_]+)"', apart) == ["jpeg_history", "format_rule", "complexity"]
    assert "complexity" not in first[first.index("<tbody>") : first.index('class="apart"')]
    words = words_of(board)
    assert (
        "Here jpeg_history, which sees nothing but traces of earlier JPEG compression, reaches .570 [.50, .64]" in words
    )


def test_a_family_as_champion_shows_its_mean_over_generators(make_home: HomeBuilder) -> None:
    home = make_home()
    page = page_of(home, {**FACTS, "champion": FAMILY})
    ((mean,),) = query(
        home, "SELECT auroc_mean FROM leaderboard WHERE detector = 'binary' AND track = 'format_matched'"
    ).rows
    words = words_of(section(page, "headline"))
    assert f"Mean AUROC over generators on dev , track format_matched .{1000 * mean:.0f} Of a photograph" in words
    assert not re.search(r"\b(None|nan|Undefined)\b", words_of(page).replace("None yet.", ""))


def test_generators_trained_on_are_marked(make_home: HomeBuilder) -> None:
    home = make_home()
    trained = (pl.col("detector") == "one_class") & (pl.col("generator") == "biggan")
    rewrite(home, "benchmark_metrics", lambda rows: rows.with_columns(seen=trained | pl.col("seen")))
    words = words_of(section(page_of(home), "leaderboard"))
    assert words.count("biggan 30 generated images, trained on it") == 1
    assert "trained on 0 others in turn" not in words
    assert "others in turn" in words


def auroc(rows: list[tuple[float, float]]) -> float:
    fpr, tpr = np.array([(0.0, 0.0), *rows, (1.0, 1.0)]).T
    return float(((tpr[1:] + tpr[:-1]) / 2 * np.diff(fpr)).sum())


def test_curves_have_the_area_that_ranks_give(make_home: HomeBuilder) -> None:
    home = make_home()
    sql = CURVES.format(dataset="'dev'", track="format_matched")
    answer = query(home, sql).rows
    found = {name: [row[2:] for row in answer if row[0] == name] for name in {row[0] for row in answer}}
    assert FAMILY not in found
    for name, rows in found.items():
        rates = np.array(rows)
        assert (np.diff(rates, axis=0) >= 0).all()
        scores = query(
            home,
            f"SELECT label, score FROM benchmark_scores WHERE detector = '{name}' AND track = 'format_matched' "
            "AND perturbation = 'none' AND score IS NOT NULL",
        ).rows
        real, fake = (np.array([score for label, score in scores if label == wanted]) for wanted in (0, 1))
        assert auroc(rows) == pytest.approx(float((fake[:, None] > real).mean()), abs=0.02)


def test_generators_trained_on_are_not_in_the_curves(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1})
    sql = CURVES.format(dataset="'dev'", track="format_matched")
    known = pl.col("generator") == "biggan"
    scored = known & pl.col("score").is_not_null()
    rewrite(
        home, "benchmark_scores", lambda rows: rows.with_columns(score=pl.when(scored).then(99.0).otherwise("score"))
    )
    with_it = query(home, sql).rows
    assert with_it[0][2:] == (0.0, pytest.approx(7 / 29))
    rewrite(home, "benchmark_metrics", lambda rows: rows.with_columns(seen=known))
    assert query(home, sql).rows[0][2] + query(home, sql).rows[0][3] < 7 / 29


def test_every_perturbation_is_in_the_table_and_every_kind_has_a_chart(make_home: HomeBuilder) -> None:
    found = section(page_of(make_home()), "robustness")
    first = found[found.index("<table") : found.index("</table>")]
    names = re.findall(r'<tr><td data-sort="([^"]+)"', first)
    assert sorted(names) == sorted(PERTURBATIONS)
    assert names[0] == "none"
    assert names[names.index("jpeg_95") : names.index("jpeg_30") + 1] == [
        f"jpeg_{quality}" for quality in (95, 90, 75, 60, 50, 30)
    ]
    assert re.findall(r"<figcaption>(\w+)</figcaption>", found) == ["JPEG", "Resizing", "Blur", "Noise"]
    jpeg = found[found.index("<svg viewBox") :]
    assert re.findall(r'class="below"[^>]*>(\w+)</text>', jpeg[: jpeg.index("</svg>")])[:7] == [
        *("none", "95", "90", "75", "60", "50", "30")
    ]
    assert "the mean over generators is shown" in words_of(found)


def test_a_detector_has_one_colour_in_all_charts(make_home: HomeBuilder) -> None:
    page = page_of(make_home())
    styles: dict[str, set[str]] = {}
    for style, name in re.findall(r'<path class="curve ([^"]+)" d="[^"]+"><title>([^<]+)</title>', page):
        styles.setdefault(name, set()).add(style)
    assert len(styles) == 7
    assert all(len(found) == 1 for found in styles.values())
    assert len({min(found) for found in styles.values()}) == 7
    assert styles["one_class"] == {"c0 thick"}
    assert all("dashed" in min(styles[name]) for name in ("complexity", "format_rule", "jpeg_history"))


def test_the_champion_is_set_against_each_other_detector(make_home: HomeBuilder) -> None:
    words = words_of(section(page_of(make_home()), "comparisons"))
    assert "complexity better, p < .001 +.200 [+.15, +.25]" in words
    assert "binary_not_dev_flux undecided, p = .091 +.040 [−.01, +.09]" in words


def test_false_positives_by_make_say_how_many(make_home: HomeBuilder) -> None:
    found = section(page_of(make_home()), "makes")
    words = words_of(found)
    assert "no make 1 of 3 photographs 33.3% [6.1, 79.2]" in words
    assert "The dashed line is the promised 5%" in words
    assert found.count('circle class="value  weak"') == 1


def test_score_against_complexity_has_every_scored_image_and_the_threshold(make_home: HomeBuilder) -> None:
    found = section(page_of(make_home()), "complexity")
    (dots,) = re.findall(r'class="spot photograph" d="([^"]{20,})"', found)
    (crosses,) = re.findall(r'class="cross generated" d="([^"]{40,})"', found)
    assert (dots.count("M"), crosses.count("M")) == (29, 29)
    assert re.search(r"Rank correlation of score and complexity: −?\.\d\d among photographs, −?\.\d\d among gen", found)
    assert 'path class="curve guide" d="M46.0' in found


def test_near_duplicates_are_warned_of_at_the_top(make_home: HomeBuilder) -> None:
    home = make_home()
    page = page_of(home)
    assert "1 benchmark image looks like something that was learned from." in words_of(section(page, "headline"))
    assert "g1/1.jpg" in section(page, "near-duplicates")
    rewrite(home, "near_duplicates", lambda rows: rows.clear())
    page = page_of(home)
    assert "learned from." not in words_of(section(page, "headline"))
    assert "No benchmark image looks like anything" in section(page, "near-duplicates")


def test_changes_are_told_or_said_to_be_none(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1})
    words = words_of(section(page_of(home), "changes"))
    assert "one_class dev format_matched all .620 .650 +.030 now and before" in words
    store = Store(home.tables)
    rewrite(home, "benchmark_metrics", lambda rows: rows.with_columns(left_out=pl.lit(0, pl.Int64)))
    assert "Metrics changed, but no AUROC did." in words_of(section(page_of(home), "changes"))
    home.catalogue.unlink()
    write_metrics(store, {"one_class": 0.2})
    build_catalogue(home, store)
    assert "There is no earlier catalogue" in words_of(section(page_of(home), "changes"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leaderboard", "No benchmark set has been evaluated yet."),
        ("comparisons", "No two detectors have been compared on the same images yet."),
        ("curves", "No benchmark image has been scored on the headline track yet."),
        ("robustness", "No perturbed image has been evaluated yet."),
        ("calibration", "No detector has been calibrated yet."),
        ("makes", "No reference photograph has been scored yet."),
        ("complexity", "No benchmark image has a score of the champion on the headline track yet."),
        ("extremes", "No images have been picked out yet."),
        ("left-out", "No benchmark set has been evaluated yet."),
        ("near-duplicates", "No benchmark set has been evaluated yet."),
        ("changes", "There is no earlier catalogue with metrics to compare with."),
    ],
)
def test_empty_tables_give_a_sentence_and_no_figure(make_home: HomeBuilder, name: str, said: str) -> None:
    found = section(page_of(make_home("training")), name)
    assert said in words_of(found)
    assert not re.search(r"<(table|svg viewBox|img)\b", found)


def test_exif_against_pixels_has_what_judges_beside_what_else_reads_tags(make_home: HomeBuilder) -> None:
    found = section(page_of(make_home("training")), "claims")
    words = words_of(found)
    assert "Tags are read by a regression on statistics of the camera. For 0 tags the whole interval lies" in words
    assert "Of all swaps 8% are found" in words
    assert "read by the heads of the backbone instead" in words
    assert re.findall(r'<div class="label">([a-z ]+) <small>', found) == ["all tags together", "iso"]
    # One for the legend, one for each tag.
    assert found.count('<path class="other"') == 3


def test_without_held_out_sources_no_claim_is_judged(make_home: HomeBuilder) -> None:
    found = section(page_of(make_home("empty")), "claims")
    assert "Nothing tells EXIF from swapped EXIF yet." in words_of(found)


def test_only_unperturbed_images_give_no_robustness(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1})
    rewrite(home, "benchmark_metrics", lambda rows: rows.filter(perturbation="none"))
    assert "No perturbed image has been evaluated yet." in section(page_of(home), "robustness")


def test_the_grid_of_every_day_draws_what_it_has(make_home: HomeBuilder) -> None:
    home = make_home(detectors={"one_class": 0.1})
    grid = ["none", "jpeg_95", "jpeg_75", "resize_0.5", "blur_1", "resize_0.5+jpeg_75"]
    rewrite(home, "benchmark_metrics", lambda rows: rows.filter(pl.col("perturbation").is_in(grid)))
    found = section(page_of(home), "robustness")
    assert re.findall(r"<figcaption>(\w+)</figcaption>", found) == ["JPEG", "Resizing", "Blur"]


def test_what_is_left_out_names_its_detectors_once(make_home: HomeBuilder) -> None:
    words = words_of(section(page_of(make_home()), "left-out"))
    assert "dev format_matched smaller_than_256 1 1 58 12 binary_not_dev_biggan, " in words


@pytest.mark.parametrize(
    ("axis", "texts"),
    [
        (charts.linear_axis("", 0, 1), ["0", ".2", ".4", ".6", ".8", "1"]),
        (charts.linear_axis("", -2.7, 1.9), ["−3", "−2", "−1", "0", "1", "2"]),
        (charts.linear_axis("", 5, 5), ["5", "5.2"]),
        (charts.linear_axis("", 1200, 5400), ["1000", "2000", "3000", "4000", "5000", "6000"]),
        (charts.log_axis("", 0.7, 9), ["0.5", "1", "2", "5", "10"]),
        (charts.log_axis("", 1, 1), ["1", "2"]),
        (charts.level_axis("", ["none", "95"]), ["none", "95"]),
        (charts.deviate_axis(""), ["1%", "5%", "20%", "50%", "80%", "95%", "99%"]),
    ],
)
def test_axes_have_round_ticks_that_hold_the_values(axis: charts.Axis, texts: list[str]) -> None:
    assert [text for _, text in axis.ticks] == texts
    shares = [axis.share(value) for value, _ in axis.ticks]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert (axis.share(-1e9), axis.share(1e9)) == (0, 1)


def test_deviates_put_one_half_in_the_middle_and_spread_the_ends() -> None:
    axis = charts.deviate_axis("")
    assert axis.share(0.5) == pytest.approx(0.5)
    assert axis.share(0.05) - axis.share(0.01) == pytest.approx(axis.share(0.99) - axis.share(0.95))
    assert axis.share(0.05) - axis.share(0.01) > 4 * (axis.share(0.54) - axis.share(0.5)) / 2


def test_marks_of_a_chart_lie_within_its_frame() -> None:
    chart = charts.Chart("", "", charts.linear_axis("", 0, 1), charts.linear_axis("", 0, 1), [])
    chart.line("c0", [(0, 0), (2, 2)], "name")
    chart.dots("c0", [(0.5, 0.5)])
    chart.band("c0", [(0, 0), (1, 0)], [(0, 1), (1, 1)])
    assert [series.path for series in chart.series] == [
        "M46.0 258.0L388.0 10.0",
        "M217.0 134.0h0",
        "M46.0 258.0L388.0 258.0L388.0 10.0L46.0 10.0Z",
    ]


def test_more_detectors_than_colours_differ_by_dots() -> None:
    names = [f"detector_{n:02}" for n in range(12)]
    styles: Any = charts.Palette.of(names, "detector_07").styles
    assert len(set(styles.values())) == 12
    assert styles["detector_07"] == "c0 thick"


def test_differences_and_p_values_are_written_alike() -> None:
    assert signed_interval(0.043, -0.011, 0.1) == "+.043 [−.01, +.10]"
    assert [signed(value) for value in (0.0, -0.0001, None, -0.5)] == [".000", ".000", "–", "−.500"]
    assert [p_value(value) for value in (0.0004, 0.034, None)] == ["<.001", ".034", "–"]
    assert [p_value(value, relation=True) for value in (0.0004, 0.034)] == ["< .001", "= .034"]
