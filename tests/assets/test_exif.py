import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from assets.corpus import photos
from assets.crawl import files
from assets.exif import exif
from assets.exif_raw import exif_raw
from assets.stage import Context
from warehouse.exif_rules import normalise
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus
from warehouse.schema import TABLES


def test_rules_applied_to_some_shards_at_a_time_make_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, "exif_raw", replace(TABLES["exif_raw"], shard_rows=2))
    home, corpus = Home(tmp_path / "home"), tmp_path / "corpus"
    corpus.mkdir()
    for number in range(12):
        tags = Image.Exif()
        tags[0x0110] = f"model {number}"
        # Each third states a size that the stored pixels do not have, each fourth a sensitivity that says nothing.
        tags.get_ifd(0x8769).update({0xA002: 16 + (number % 3 == 0), 0xA003: 16, 0x8827: 0 if number % 4 == 0 else 100})
        Image.new("RGB", (16, 16)).save(corpus / f"{number}.jpg", exif=tags)
    add_corpus(home, "c", Corpus(source=str(corpus)))
    files.materialise(Context(home, "c"))
    for stage in (photos, exif_raw, exif):
        stage.materialise(Context(home))
    store = Context(home).store
    assert len(store.paths("exif_raw")) > 4
    rows = {
        photo_id: normalise(json.loads(tags), (16, 16))
        for photo_id, tags in store.read("exif_raw", columns=["photo_id", "tags"]).iter_rows()
    }
    typed = {row.pop("photo_id"): row for row in store.read("exif").to_dicts()}
    assert typed == {photo_id: said.row for photo_id, said in rows.items()}
    assert sum(row["resized_or_cropped"] for row in typed.values()) == 4
    issues = {(photo_id, issue.tag, str(issue.reason)) for photo_id, said in rows.items() for issue in said.issues}
    assert set(store.read("exif_issues").select("photo_id", "tag", "reason").rows()) == issues
    assert len(issues) == 3
    before = [path.read_bytes() for table in ("exif", "exif_issues") for path in store.paths(table)]
    for table in ("exif", "exif_issues"):
        store.paths(table)[0].unlink()
    monkeypatch.setattr("assets.exif._AT_ONCE", 1)
    exif.materialise(Context(home))
    assert [path.read_bytes() for table in ("exif", "exif_issues") for path in store.paths(table)] == before
