"""A corpus of each kind is crawled into the same rows: folder, table, addresses, index page, bucket, tar shards."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from assets.crawl import files
from assets.stage import Context
from tests.warehouse.web_server import WebServer, serving
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus, read_registry
from warehouse.shards import quarantine_partition
from warehouse.sources import corpus_sources
from warehouse.storage import forget

RNG = np.random.default_rng(4)


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


PICTURES = {"x/1.png": picture(), "x/2.png": picture(), "y/3.png": picture()}


@pytest.fixture
def web() -> Iterator[WebServer]:
    forget()
    with serving() as web:
        web.files = {f"/set/{name}": data for name, data in PICTURES.items()}
        links = (f'<a href="{name}">{name}</a>' for name in [*PICTURES, "note.txt"])
        web.files |= {"/set/": "".join(links).encode(), "/set/note.txt": b"no picture", "/set/t.csv": table("", "url")}
        yield web


def table(folder: str, column: str) -> bytes:
    """Three pictures, one that is not there, and a column that is kept beside one that is not."""
    rows = [f"{folder}{name}" for name in [*PICTURES, "none.png"]]
    frame = pl.DataFrame({column: rows, "licence": ["CC0", "CC0", None, None], "owner": ["Ann"] * 4})
    return frame.write_csv().encode()


def shard() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        beside = {name.replace(".png", ".json"): json.dumps({"licence": "BY"}).encode() for name in PICTURES}
        for name, data in sorted((PICTURES | beside).items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def lay_out(kind: str, root: Path, web: WebServer) -> str:
    """Put the pictures where a kind of source has them; the source as a person names it."""
    import fsspec

    if kind == "folder":
        for name, data in PICTURES.items():
            (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "photos" / name).write_bytes(data)
        return str(root / "photos")
    if kind == "table":
        lay_out("folder", root, web)
        (root / "photos" / "t.csv").write_bytes(table("", "file"))
        return str(root / "photos" / "t.csv")
    if kind == "addresses":
        (root / "t.csv").write_bytes(table(f"{web.address}/set/", "url"))
        return str(root / "t.csv")
    if kind == "table on the web":
        return f"{web.address}/set/t.csv"
    if kind == "index page":
        return f"{web.address}/set/"
    if kind == "bucket":
        fsspec.filesystem("memory").pipe({f"/kinds/{name}": data for name, data in PICTURES.items()})
        return "memory://kinds"
    if kind == "shards on the web":
        web.files["/s-1.tar"] = shard()
        return f"{web.address}/s-{{1..2}}.tar"
    (root / "s-1.tar").write_bytes(shard())
    return str(root / "s-{1..2}.tar")


@pytest.mark.parametrize(
    ("kind", "refused", "licences"),
    [
        ("folder", [], 0),
        ("table", ["missing"], 2),
        ("addresses", ["missing"], 2),
        ("table on the web", ["missing"], 2),
        ("index page", ["not_an_image"], 0),
        ("bucket", [], 0),
        ("shards", ["missing"], 3),
        ("shards on the web", ["missing"], 3),
    ],
)
def test_every_kind_of_source_gives_the_same_photographs(
    tmp_path: Path, web: WebServer, kind: str, refused: list[str], licences: int
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.registry.write_text("[network]\nallow_private = true\nretries = 0\n")
    source = lay_out(kind, tmp_path, web)
    add_corpus(home, "mine", Corpus(source=source))
    files.materialise(Context(home, "mine"))
    store = Context(home).store
    rows = store.read("files", ["mine"])
    photos = rows.filter(state="photo").sort("uri")
    assert photos["size_bytes"].to_list() == [len(data) for data in PICTURES.values()]
    assert photos["uri"].str.slice(-7).to_list() == list(PICTURES)
    assert store.read("quarantine", [quarantine_partition("files", "mine")])["reason"].to_list() == refused
    assert len(rows) == len(photos) + len(refused)
    assert {json.loads(said)["source_licence"] for said in photos["source"].drop_nulls()} <= {"CC0", "BY"}
    assert photos["source"].drop_nulls().len() == licences
    if kind in {"folder", "table", "bucket", "shards", "index page"}:
        assert photos["group"].to_list() == ["mine/x", "mine/x", "mine/y"]
    read = corpus_sources(home, read_registry(home))["mine"].read
    assert [read(*place) for place in photos.select("uri", "span").iter_rows()] == list(PICTURES.values())
