import io
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from assets.benchmark_extremes import benchmark_extremes
from assets.stage import Context, Product
from tests.assets.scored_home import Made, make_home, png
from warehouse.store import Store

DETECTORS = ("combined", "complexity")
CONDITIONS = (("format_matched", "none"), ("format_matched", "blur_1"), ("as_shipped", "none"))


def score(detector: str, track: str, perturbation: str, image: Made) -> float | None:
    if image.number == 3:
        return None
    if (detector, track, perturbation) != ("combined", "format_matched", "none"):
        return -float(image.number)
    return float(image.number // 2)


def picture(number: int) -> bytes:
    """Photographs as PNG; the others, from 20 on, as a JPEG of 300 x 200 with metadata."""
    if number < 20:
        return png(number)
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0131] = "some program"
    pixels = np.random.default_rng(number).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", exif=exif, comment=b"a comment", dpi=(72, 72))
    return out.getvalue()


def extremes(product: Product) -> pl.DataFrame:
    table = product.tables["benchmark_extremes"]
    assert isinstance(table, pl.DataFrame)
    return table


def test_the_ends_are_those_of_the_combined_detector_on_the_headline_track(tmp_path: Path) -> None:
    home, images = make_home(
        tmp_path, {"web": 20}, {"sd": (9, None)}, score, detectors=DETECTORS, conditions=CONDITIONS, picture=picture
    )
    numbers = {each.row["image_id"]: each.number for each in images}
    table = extremes(benchmark_extremes.function(Context(home))).sort("label", "side", "place")
    assert set(table.select("dataset", "detector", "track").iter_rows()) == {("dev", "combined", "format_matched")}
    by_side = {
        key: [numbers[identity] for identity in part["image_id"]]
        for key, part in table.group_by(["label", "side"], maintain_order=True)
    }
    # The score is half the number: two images share one, and stand in the order of their content.
    assert [number // 2 for number in by_side[0, "most"]] == [0, 0, 1, 2, 2, 3, 3, 4]
    assert [number // 2 for number in by_side[0, "least"]] == [9, 9, 8, 8, 7, 7, 6, 6]
    assert 3 not in by_side[0, "most"]
    assert len(by_side[1, "most"]) == len(by_side[1, "least"]) == 8
    equal = table.filter(label=0, side="most", score=0.0)["image_id"].to_list()
    assert equal == sorted(equal)
    row = table.row(
        by_predicate=(pl.col("label") == 1) & (pl.col("side") == "least") & (pl.col("place") == 1), named=True
    )
    assert (numbers[row["image_id"]], row["score"], row["generator"]) == (28, 14.0, "sd")


def test_pictures_are_small_jpegs_without_metadata_and_the_same_again(tmp_path: Path) -> None:
    home, _ = make_home(tmp_path, {"web": 20}, {"sd": (9, None)}, score, detectors=DETECTORS, picture=picture)
    store = Store(home.tables)
    table = extremes(benchmark_extremes.function(Context(home)))
    for row in table.iter_rows(named=True):
        with Image.open(io.BytesIO(row["picture"])) as small:
            assert small.format == "JPEG"
            assert small.size == ((120, 80) if row["label"] else (24, 16))
            assert not small.getexif()
            assert set(small.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    again = extremes(benchmark_extremes.function(Context(home)))
    assert store.write_shard("benchmark_extremes", table) == store.write_shard("benchmark_extremes", again)


def test_a_file_that_is_gone_or_has_changed_has_no_picture_and_a_reason(tmp_path: Path) -> None:
    home, images = make_home(tmp_path, {"web": 2}, {"sd": (2, None)}, score, detectors=DETECTORS)
    (tmp_path / "dev" / images[0].row["uri"]).unlink()
    (tmp_path / "dev" / images[2].row["uri"]).write_bytes(png(99))
    product = benchmark_extremes.function(Context(home))
    table = extremes(product)
    # With two images of a class, both stand at both ends.
    assert len(table) == 2 * (2 + 1)
    without = table.filter(pl.col("picture").is_null())["image_id"].unique()
    assert set(without) == {images[0].row["image_id"], images[2].row["image_id"]}
    refused = product.quarantine["benchmark_extremes"]
    assert isinstance(refused, pl.DataFrame)
    assert set(refused.select("uri", "reason").iter_rows()) == {
        (images[0].row["uri"], "missing"),
        (images[2].row["uri"], "changed_meanwhile"),
    }
