"""Tables whose files lie beside them and on the network."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.warehouse.web_server import WebServer, serving
from warehouse.home import UserError
from warehouse.places import RefusedError, source_json
from warehouse.registry import Network
from warehouse.source_columns import identifiers, is_private_column, kept_columns
from warehouse.sources import open_source
from warehouse.storage import forget

NETWORK = Network(allow_private=True, timeout_s=2, retries=0, concurrency=4)


@pytest.fixture
def web() -> Iterator[WebServer]:
    forget()
    with serving() as web:
        web.files["/set/a.jpg"] = b"a"
        yield web


def test_a_table_mixes_local_files_and_addresses(tmp_path: Path, web: WebServer) -> None:
    (tmp_path / "b.jpg").write_bytes(b"bb")
    address = web.address.replace("http://", "http://user:word@") + "/set/a.jpg"
    rows = ["b.jpg", f"{web.address}/set/a.jpg", address, "ftp://host/x.jpg", "memory://x/y", f"{web.address}/none"]
    table = pl.DataFrame({"url": rows, "license": ["CC0", None, "BY", None, None, None], "photographer": ["Ann"] * 6})
    table.write_csv(tmp_path / "t.csv")
    source = open_source(tmp_path / "t.csv", corpus="mine", network=NETWORK)
    listed = {item.uri: item for item in source.listing()}
    assert source.concurrency == 4
    assert set(listed) == set(rows) - {address}
    assert {uri: (item.size, item.etag) for uri, item in listed.items()} == {
        "b.jpg": (2, None),
        f"{web.address}/set/a.jpg": (1, '"1"'),
        "ftp://host/x.jpg": (None, "protocol_refused"),
        "memory://x/y": (None, "protocol_refused"),
        f"{web.address}/none": (None, None),
    }
    assert listed["b.jpg"].columns == (("license", "CC0"),)
    assert source.read("b.jpg") == b"bb"
    assert source.local_path("b.jpg") == tmp_path / "b.jpg"
    assert source.read(f"{web.address}/set/a.jpg") == b"a"
    assert source.local_path(f"{web.address}/set/a.jpg") is None
    with pytest.raises(RefusedError, match="protocol_refused"):
        source.read("ftp://host/x.jpg")
    asked = web.asked.total()
    source.listing()
    assert web.asked.total() == asked


def test_files_on_the_network_are_held_out_by_host_and_first_folder(tmp_path: Path) -> None:
    rows = [
        "x/1.jpg",
        "http://127.0.0.1:9/a/1.jpg",
        "http://127.0.0.1:9/a/b/2.jpg",
        "http://127.0.0.1:9/3.jpg",
        "ftp://h",
    ]
    pl.DataFrame({"uri": rows}).write_csv(tmp_path / "t.csv")
    groups = {item.uri: item.group for item in open_source(tmp_path / "t.csv", corpus="mine").listing()}
    host = "mine/127.0.0.1:9"
    assert [groups[row] for row in rows] == ["mine/x", f"{host}/a", f"{host}/a", f"{host}/3.jpg", "mine/h"]


def test_a_table_of_local_files_is_read_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"b")
    (tmp_path / "t.csv").write_text("file\nb.jpg\n")
    source = open_source(tmp_path / "t.csv", corpus="mine", network=NETWORK)
    assert (source.concurrency, source.listing()[0].size) == (1, 1)
    (tmp_path / "b.jpg").write_bytes(b"bb")
    assert source.listing()[0].size == 2
    (tmp_path / "t.csv").write_text("file\nhttp://127.0.0.1:1/b.jpg\n")
    assert source.concurrency == 4


def test_a_table_on_the_web_names_files_beside_it(web: WebServer) -> None:
    web.files["/set/t.csv"] = f"file\na.jpg\n/set/a.jpg\n{web.address}/set/a.jpg\n".encode()
    source = open_source(f"{web.address}/set/t.csv", corpus="mine", network=NETWORK)
    assert [item.size for item in source.listing()] == [1, 1, 1]
    assert [source.read(item.uri) for item in source.listing()] == [b"a"] * 3
    with pytest.raises(UserError, match="answers 404"):
        open_source(f"{web.address}/set/none.csv", network=NETWORK).listing()


def test_shards_on_the_web_are_read_by_range_or_not_at_all(web: WebServer) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("a/1.jpg", "b/2.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(name[:5].encode()))
    web.files["/s-0.tar"] = web.files["/s-1.tar"] = out.getvalue()
    source = open_source(f"{web.address}/s-{{0..2}}.tar", corpus="mine", network=NETWORK)
    shards = source.listing()
    assert [(shard.uri, shard.size) for shard in shards] == [("s-0.tar", 10240), ("s-1.tar", 10240), ("s-2.tar", None)]
    found = list(source.members(shards[0]))
    assert (
        [source.read(item.uri, item.span) for item, _ in found] == [data for _, data in found] == [b"a/1.j", b"b/2.j"]
    )
    with pytest.raises(RefusedError, match="missing"):
        list(source.members(shards[2]))
    bare = open_source(f"{web.address}/no_ranges/s-0.tar", network=NETWORK)
    with pytest.raises(RefusedError, match="no_ranges"):
        list(bare.members(bare.listing()[0]))
    with pytest.raises(UserError, match="does not tell names"):
        open_source(f"{web.address}/*.tar", network=NETWORK).listing()


@pytest.mark.parametrize(
    ("name", "private"),
    [
        *((name, True) for name in ("GPSLatitude", "lat", "Lon", "serial_number", "owner", "artist_name", "user-name")),
        *((name, True) for name in ("photographer", "exif:GPSPosition", "creator", "e-mail", "City", "latitude")),
        *((name, False) for name in ("license", "licence", "caption", "make", "model", "width", "sha256", "split")),
    ],
)
def test_columns_that_tell_places_devices_or_people_are_left_out(name: str, private: bool) -> None:
    assert is_private_column(name) is private


def test_columns_are_text_and_sorted() -> None:
    fields = {"b": 1, "a": "x", "c": None, "d": [1], "e": {"f": 1}, "g": 0.5, "h": False, "i": "\ud800"}
    kept = kept_columns(fields)
    assert kept == (("a", "x"), ("b", "1"), ("g", "0.5"), ("h", "false"), ("i", "\\ud800"))
    assert json.loads(source_json(kept) or "") == {f"source_{name}": value for name, value in kept}
    assert source_json(()) is None


def test_names_of_columns_become_identifiers() -> None:
    assert identifiers(["source_B c", "source_b/c", "source_b_c_2", "source_b_c", "ü"]) == {
        "source_B c": "source_b_c",
        "source_b/c": "source_b_c_2",
        "source_b_c": "source_b_c_3",
        "source_b_c_2": "source_b_c_2_2",
        "ü": "column",
    }
    assert len(identifiers(f"source_{number}" for number in range(200))) == 100
