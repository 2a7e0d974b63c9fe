import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from assets.corpus import FOLDS, photos, splits
from assets.crawl import files
from assets.stage import Context
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus

RNG = np.random.default_rng(0)


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def fill(folder: Path, sizes: dict[str, int]) -> None:
    for group, size in sizes.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        for number in range(size):
            path = folder / group / f"{number}.png"
            if not path.exists():
                path.write_bytes(picture())


def run(home: Home) -> pl.DataFrame:
    for name in ("a", "b"):
        files.materialise(Context(home, name))
    photos.materialise(Context(home))
    splits.materialise(Context(home))
    return Context(home).store.read("splits")


def test_folds_are_even_in_every_corpus_and_groups_never_move(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    fill(tmp_path / "a", {f"g{n}": 1 + n % 4 for n in range(20)})
    fill(tmp_path / "b", {f"h{n}": 1 for n in range(10)})
    for name in ("a", "b"):
        add_corpus(home, name, Corpus(source=str(tmp_path / name)))
    before = run(home)
    sizes = (
        before.with_columns(corpus=pl.col("group").str.head(1)).group_by("corpus", "fold").agg(pl.col("photos").sum())
    )
    for corpus, total in (("a", 50), ("b", 10)):
        own = sizes.filter(pl.col("corpus") == corpus)["photos"].to_list()
        assert (len(own), sum(own)) == (FOLDS, total)
        assert max(own) - min(own) <= 1
    fill(tmp_path / "a", {"g0": 9, "new": 3})
    after = run(home)
    assert set(before.select("group", "fold").rows()) < set(after.select("group", "fold").rows())
    assert set(after["group"]) - set(before["group"]) == {"a/new"}


def test_the_same_bytes_are_one_photograph_of_the_corpus_registered_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    fill(tmp_path / "b", {"x": 2})
    fill(tmp_path / "a", {"y": 1})
    same = (tmp_path / "b" / "x" / "0.png").read_bytes()
    (tmp_path / "a" / "y" / "copy.png").write_bytes(same)
    (tmp_path / "a" / "y" / "again.png").write_bytes(same)
    add_corpus(home, "b", Corpus(source=str(tmp_path / "b"), use=["train"]))
    add_corpus(home, "a", Corpus(source=str(tmp_path / "a"), use=["reference"]))
    run(home)
    table = Context(home).store.read("photos").filter(pl.col("places") > 1)
    assert table.select("corpus", "uri", "use", "places").rows() == [("b", "x/0.png", "reference+train", 3)]


def test_contents_compared_some_at_a_time_make_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    fill(tmp_path / "a", {"x": 30})
    fill(tmp_path / "b", {"y": 10})
    for number in range(5):
        (tmp_path / "b" / "y" / f"copy {number}.png").write_bytes((tmp_path / "a" / "x" / f"{number}.png").read_bytes())
    for name, use in (("a", "train"), ("b", "reference")):
        add_corpus(home, name, Corpus.model_validate({"source": str(tmp_path / name), "use": [use]}))
    run(home)
    (whole,) = Context(home).store.paths("photos")
    content = whole.read_bytes()
    assert len(pl.read_parquet(content).filter(pl.col("places") > 1)) == 5
    monkeypatch.setattr("assets.corpus._AT_ONCE", 3)
    whole.unlink()
    photos.materialise(Context(home))
    (parts,) = Context(home).store.paths("photos")
    assert parts.read_bytes() == content


def test_a_corpus_without_files_has_no_photographs(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "a").mkdir()
    add_corpus(home, "a", Corpus(source=str(tmp_path / "a")))
    files.materialise(Context(home, "a"))
    _, product = photos.materialise(Context(home))
    assert product.numbers == {"files": 0, "photographs": 0}
