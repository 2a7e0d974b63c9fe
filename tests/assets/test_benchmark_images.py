import os
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from assets.benchmark_images import benchmark_images
from assets.stage import Context
from warehouse.home import Home
from warehouse.registry import Dataset, add_dataset


def save(path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (len(path.name), 0, 0)).save(path, **options)


def test_images_have_the_facts_of_their_files_and_what_is_none_a_reason(tmp_path: Path) -> None:
    fakes = tmp_path / "set" / "ADM" / "x" / "val" / "ai"
    save(fakes / "a.jpg", quality=71, subsampling="4:2:2")
    save(fakes / "bb.png")
    save(fakes / os.fsdecode(b"caf\xe9.png"))
    (fakes / "list.txt").write_text("bb.png\n")
    home = Home(tmp_path / "home")
    add_dataset(home, "dev", Dataset(source=str(tmp_path / "set")))
    context = Context(home, "dev.ADM")
    _, product = benchmark_images.materialise(context)
    assert product.numbers == {"listed": 4, "images": 2, "quarantined": 2}
    rows = context.store.read("benchmark_images").sort("uri")
    assert rows.select(
        "uri", "label", "generator", "paired_real", "format", "jpeg_quality", "chroma_subsampling"
    ).rows() == [
        ("ADM/x/val/ai/a.jpg", 1, "ADM", "ADM", "JPEG", 71, "4:2:2"),
        ("ADM/x/val/ai/bb.png", 1, "ADM", "ADM", "PNG", None, None),
    ]
    refused = context.store.read("quarantine").sort("uri").select(pl.col("uri").str.split("/").list.last(), "reason")
    assert refused.rows() == [("caf\\udce9.png", "name_not_utf8"), ("list.txt", "not_an_image")]
    assert benchmark_images.is_current(context)
