"""The crawl of a corpus that changes: files come, change, vanish and come back; tar shards change as a whole."""

import hashlib
import io
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from assets.checks import _files
from assets.crawl import crawl_part, files
from assets.stage import Context
from warehouse.compute import Compute
from warehouse.crawl_plan import Plan, planned
from warehouse.crawled import crawled, divided
from warehouse.home import Home
from warehouse.places import Listed, RefusedError
from warehouse.registry import Corpus, add_corpus
from warehouse.schema import TABLES
from warehouse.shards import quarantine_partition, run_shards
from warehouse.source_folder import FolderSource
from warehouse.store import Store

NAME = "c"
RNG = np.random.default_rng(0)


def picture() -> bytes:
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def put(path: Path, data: bytes | None = None) -> bytes:
    """Write a file whose time of change differs from that of any before it."""
    data = data or picture()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    put.clock += 1_000_000_000  # type: ignore[attr-defined]
    os.utime(path, ns=(put.clock, put.clock))  # type: ignore[attr-defined]
    return data


put.clock = 1_700_000_000_000_000_000  # type: ignore[attr-defined]


class Crawl:
    """A registered folder, and what a test asks of its table."""

    def __init__(self, path: Path) -> None:
        self.home, self.folder = Home(path / "home"), path / "corpus"
        self.folder.mkdir()
        add_corpus(self.home, NAME, Corpus(source=str(self.folder)))
        self.context = Context(self.home, NAME)
        self.store = self.context.store

    def run(self, force: bool = False) -> dict[str, int | float | str]:
        manifest, product = files.materialise(Context(self.home, NAME, force=force))
        assert files.is_current(self.context)
        into, out, quarantined = _files(self.store, self.home)
        assert into == out + quarantined
        assert manifest.rows == len(self.rows())
        return dict(product.numbers)

    def rows(self) -> list[tuple[str, int, str]]:
        return self.store.read("files").select("uri", "revision", "state").rows()

    def row(self, uri: str, revision: int = 0) -> dict[str, object]:
        return self.store.read("files").row(
            by_predicate=(pl.col("uri") == uri) & (pl.col("revision") == revision), named=True
        )

    def refused(self) -> list[tuple[str, str]]:
        partition = quarantine_partition("files", NAME)
        return self.store.read("quarantine", [partition]).select("uri", "reason").rows()

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.store.paths("files")}


@pytest.fixture
def crawl(tmp_path: Path) -> Crawl:
    return Crawl(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Uris that were read, all of them in this process."""
    monkeypatch.setattr(Context, "compute", Context.here)
    seen: list[str] = []
    read = FolderSource.read

    def noted(source: FolderSource, uri: str, span: str | None = None) -> bytes:
        seen.append(uri)
        return read(source, uri, span)

    monkeypatch.setattr(FolderSource, "read", noted)
    return seen


def test_only_a_changed_file_is_read_again_and_its_old_row_stays(crawl: Crawl, reads: list[str]) -> None:
    old = put(crawl.folder / "a.png")
    put(crawl.folder / "b.png")
    crawl.run()
    reads.clear()
    new = put(crawl.folder / "a.png")
    assert not files.is_current(crawl.context)
    crawl.run()
    assert reads == ["a.png"]
    assert crawl.rows() == [("a.png", 0, "replaced"), ("a.png", 1, "photo"), ("b.png", 0, "photo")]
    assert crawl.row("a.png", 0)["photo_id"] == hashlib.sha256(old).hexdigest()
    assert crawl.row("a.png", 1)["photo_id"] == hashlib.sha256(new).hexdigest()


def test_a_touched_file_is_the_same_row_with_a_new_time(crawl: Crawl) -> None:
    data = put(crawl.folder / "a.png")
    crawl.run()
    before = crawl.row("a.png")
    put(crawl.folder / "a.png", data)
    crawl.run()
    assert crawl.rows() == [("a.png", 0, "photo")]
    after = crawl.row("a.png")
    assert {key for key in after if after[key] != before[key]} == {"modified_ns"}


def test_a_vanished_file_is_marked_and_what_it_was_when_it_is_back(crawl: Crawl, reads: list[str]) -> None:
    put(crawl.folder / "a.png")
    put(crawl.folder / "b.png")
    crawl.run()
    before = crawl.bytes()
    (crawl.folder / "a.png").rename(crawl.home.path / "kept")
    crawl.run()
    assert crawl.rows() == [("a.png", 0, "vanished"), ("b.png", 0, "photo")]
    reads.clear()
    (crawl.home.path / "kept").rename(crawl.folder / "a.png")
    crawl.run()
    assert reads == []
    assert crawl.rows() == [("a.png", 0, "photo"), ("b.png", 0, "photo")]
    assert pl.read_parquet(io.BytesIO(*before.values())).equals(crawl.store.read("files"))


def test_a_file_that_comes_back_as_another_is_a_new_revision(crawl: Crawl) -> None:
    put(crawl.folder / "a.png")
    put(crawl.folder / "b.png")
    crawl.run()
    (crawl.folder / "a.png").unlink()
    crawl.run()
    put(crawl.folder / "a.png")
    crawl.run()
    assert crawl.rows() == [("a.png", 0, "replaced"), ("a.png", 1, "photo"), ("b.png", 0, "photo")]


def test_a_quarantined_file_stays_with_its_reason_until_it_changes(crawl: Crawl, reads: list[str]) -> None:
    put(crawl.folder / "a.png", b"dear diary")
    put(crawl.folder / "b.png")
    crawl.run()
    put(crawl.folder / "b.png")
    reads.clear()
    crawl.run()
    assert (reads, crawl.refused()) == (["b.png"], [("a.png", "not_an_image")])
    put(crawl.folder / "a.png")
    crawl.run()
    assert ("a.png", 0, "photo") in crawl.rows()
    assert crawl.refused() == []
    (crawl.folder / "a.png").write_bytes(b"")
    crawl.run()
    assert crawl.refused() == [("a.png", "empty")]
    assert crawl.rows()[:2] == [("a.png", 0, "replaced"), ("a.png", 1, "quarantined")]
    (crawl.folder / "a.png").unlink()
    crawl.run()
    assert crawl.refused() == []
    assert crawl.rows()[:2] == [("a.png", 0, "replaced"), ("a.png", 1, "vanished")]


def test_a_photograph_that_could_not_be_read_for_a_while_is_the_same_revision(crawl: Crawl) -> None:
    data = put(crawl.folder / "a.png")
    crawl.run()
    put(crawl.folder / "a.png", b"half")
    crawl.run()
    put(crawl.folder / "a.png", data)
    crawl.run()
    assert (crawl.rows(), crawl.refused()) == ([("a.png", 0, "photo")], [])


def test_shards_in_which_nothing_changed_are_not_written_again(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.crawled.shard_bits", lambda rows, shard_rows: 3)
    for number in range(40):
        put(crawl.folder / f"{number}.png")
    crawl.run()
    before = crawl.bytes()
    assert len(before) == 8
    put(crawl.folder / "7.png")
    assert crawl.run()["shards_unchanged"] == 7
    assert len(before.keys() & crawl.bytes().keys()) == 7


def test_more_shards_keep_all_rows_without_reading(
    crawl: Crawl, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        put(crawl.folder / f"{number}.png")
    put(crawl.folder / "note.png", b"dear diary")
    crawl.run()
    rows, refused = crawl.rows(), crawl.refused()
    reads.clear()
    monkeypatch.setattr("warehouse.crawled.shard_bits", lambda rows, shard_rows: 2)
    put(crawl.folder / "new.png")
    crawl.run()
    assert reads == ["new.png"]
    assert sorted([*rows, ("new.png", 0, "photo")]) == sorted(crawl.rows())
    assert crawl.refused() == refused
    assert len(crawl.bytes()) == 4


def test_force_reads_everything_and_makes_the_same_files(crawl: Crawl, reads: list[str]) -> None:
    put(crawl.folder / "a.png")
    put(crawl.folder / "b.png", b"dear diary")
    crawl.run()
    put(crawl.folder / "a.png")
    crawl.run()
    before = crawl.bytes()
    reads.clear()
    crawl.run(force=True)
    assert reads == ["a.png", "b.png"]
    assert crawl.bytes() == before


def change_without_a_trace(path: Path) -> None:
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_changed_without_a_trace_is_found_by_force(crawl: Crawl) -> None:
    put(crawl.folder / "a.png")
    crawl.run()
    change_without_a_trace(crawl.folder / "a.png")
    assert files.is_current(crawl.context)
    crawl.run(force=True)
    assert crawl.rows() == [("a.png", 0, "replaced"), ("a.png", 1, "photo")]


def test_names_that_no_table_can_hold_are_quarantined_each_by_its_own(crawl: Crawl, reads: list[str]) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    put(crawl.folder / odd)
    put(crawl.folder / "caf\\udce9.png")
    crawl.run()
    assert crawl.rows() == [("caf\\udce9.png", 0, "photo"), ("caf\\udce9.png\\", 0, "quarantined")]
    assert crawl.refused() == [("caf\\udce9.png\\", "name_not_utf8")]
    assert reads == ["caf\\udce9.png"]


def test_a_time_that_no_table_can_hold_is_the_latest_it_can(crawl: Crawl) -> None:
    listed = Listed("a.png", "g", 1, 40_000_000_000 * 10**9)
    plan = planned(NAME, [listed], crawled(crawl.store, NAME), version=1)
    source = FolderSource(crawl.folder)
    rows, _ = crawl_part(source, NAME, tuple(plan.work[0].items))
    assert rows[0]["modified_ns"] == 2**63 - 1


def test_a_run_killed_between_its_two_commits_goes_on_from_both(crawl: Crawl) -> None:
    put(crawl.folder / "a.png", b"dear diary")
    put(crawl.folder / "b.png")
    crawl.run()
    folder = crawl.store.folder("files", NAME)
    manifest = (folder / "manifest.json").read_bytes()
    put(crawl.folder / "a.png")
    put(crawl.folder / "b.png", b"broken")
    crawl.run()
    undisturbed, refused = crawl.bytes(), crawl.refused()
    after = (folder / "manifest.json").read_bytes()
    # The quarantine is committed first.
    (folder / "manifest.json").write_bytes(manifest)
    crawl.run()
    assert (crawl.bytes(), crawl.refused()) == (undisturbed, refused)
    assert (folder / "manifest.json").read_bytes() == after


def test_the_group_follows_the_listing_without_reading(tmp_path: Path) -> None:
    identity = hashlib.sha256(put(tmp_path / "a.png")).hexdigest()
    table, home = tmp_path / "table.csv", Home(tmp_path / "home")
    table.touch()
    add_corpus(home, NAME, Corpus(source=str(table), group="who"))
    context = Context(home, NAME)
    for who in ("Ann", "Bob"):
        table.write_text(f"file,who\na.png,{who}\n")
        assert not files.is_current(context)
        files.materialise(context)
        assert context.store.read("files").select("group", "photo_id").rows() == [(who, identity)]
        change_without_a_trace(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; tests/end_to_end has it in a child")
def test_a_folder_that_cannot_be_listed_is_quarantined(crawl: Crawl) -> None:
    put(crawl.folder / "in" / "a.png")
    put(crawl.folder / "b.png")
    (crawl.folder / "in").chmod(0)
    try:
        crawl.run()
    finally:
        (crawl.folder / "in").chmod(0o755)
    assert crawl.refused() == [("in/", "unreadable")]
    crawl.run()
    assert crawl.rows() == [("b.png", 0, "photo"), ("in/", 0, "vanished"), ("in/a.png", 0, "photo")]


@dataclass
class Shelf:
    """A source with tar shards in memory: members by shard, each with its bytes or a reason; and files beside them."""

    boxes: dict[str, dict[str, bytes | RefusedError]]
    etags: dict[str, str]
    loose: dict[str, bytes] = field(default_factory=dict)
    concurrency: int = 1
    opened: list[str] = field(default_factory=list)

    def listing(self) -> list[Listed]:
        boxes = [Listed(uri, "", 9, 1, self.etags[uri], is_container=True) for uri in self.boxes]
        loose = [Listed(uri, "g", len(data), 1, "e") for uri, data in self.loose.items()]
        return sorted(boxes + loose, key=lambda item: item.uri)

    def read(self, uri: str, span: str | None = None) -> bytes:
        return self.loose[uri]

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        self.opened.append(container.uri)
        for number, (name, data) in enumerate(self.boxes[container.uri].items()):
            if name == "END":
                assert isinstance(data, RefusedError)
                raise data
            size = len(data) if isinstance(data, bytes) else None
            yield Listed(f"{container.uri}/{name}", "g", size, None, span=f"{number}+9"), data

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        return None


def crawl_shelf(store: Store, shelf: Shelf) -> Plan:
    plan = planned(NAME, shelf.listing(), crawled(store, NAME), version=1)
    read = partial(crawl_part, shelf, NAME)
    rows, refused = run_shards(
        store, Compute(here=True), "files", plan.work, read, partition=NAME, progress=lambda done, total: None
    )
    rows += [pair[0] for pair in plan.finished.values()]
    refused += [pair[1] for pair in plan.finished.values()]
    store.commit("quarantine", refused, partition=quarantine_partition("files", NAME))
    store.commit("files", rows, partition=NAME, provenance={"version": 1})
    return plan


def states(store: Store) -> list[tuple[str, int, str]]:
    return sorted(store.read("files").select("uri", "revision", "state").rows())


def test_a_tar_shard_is_read_again_as_a_whole_when_it_changed_and_else_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = picture(), picture()
    # Names that begin alike, of which "/" comes after "-".
    shelf = Shelf(
        {"x.tar": {"a": one, "b": two, "n": b"no picture"}, "x.tar-2.tar": {"a": picture()}},
        {"x.tar": "1", "x.tar-2.tar": "1"},
        {"x.png": picture()},
    )
    crawl_shelf(store, shelf)
    assert states(store) == [
        ("x.png", 0, "photo"),
        ("x.tar-2.tar/a", 0, "photo"),
        ("x.tar/a", 0, "photo"),
        ("x.tar/b", 0, "photo"),
        ("x.tar/n", 0, "quarantined"),
    ]
    shelf.opened.clear()
    plan = crawl_shelf(store, shelf)
    assert (plan.work, shelf.opened) == ((), [])
    shelf.etags["x.tar"] = "2"
    shelf.boxes["x.tar"] = {"z": picture(), "b": two, "a": picture()}
    crawl_shelf(store, shelf)
    assert shelf.opened == ["x.tar"]
    rows = store.read("files").filter(pl.col("uri").str.starts_with("x.tar/")).sort("uri", "revision")
    assert rows.select("uri", "revision", "state", "span", "etag").rows() == [
        ("x.tar/a", 0, "replaced", "0+9", "1"),
        ("x.tar/a", 1, "photo", "2+9", "2"),
        ("x.tar/b", 0, "photo", "1+9", "2"),
        ("x.tar/n", 0, "vanished", "2+9", "1"),
        ("x.tar/z", 0, "photo", "0+9", "2"),
    ]


def test_a_tar_shard_that_breaks_off_is_quarantined_beside_what_was_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shelf = Shelf({"x.tar": {"a": picture(), "END": RefusedError("broken_tar", "it ends early")}}, {"x.tar": "1"})
    crawl_shelf(store, shelf)
    assert states(store) == [("x.tar", 0, "quarantined"), ("x.tar/a", 0, "photo")]
    assert store.read("quarantine")["reason"].to_list() == ["broken_tar"]
    assert crawl_shelf(store, shelf).work == ()
    shelf.boxes["x.tar"].pop("END")
    shelf.etags["x.tar"] = "2"
    crawl_shelf(store, shelf)
    assert states(store) == [("x.tar", 0, "vanished"), ("x.tar/a", 0, "photo")]


def test_a_tar_shard_that_vanishes_and_comes_back_holds_what_it_held(tmp_path: Path) -> None:
    store = Store(tmp_path)
    box = {"a": picture(), "b": picture()}
    shelf = Shelf({"x.tar": dict(box)}, {"x.tar": "1"})
    crawl_shelf(store, shelf)
    before = states(store)
    shelf.boxes.clear()
    crawl_shelf(store, shelf)
    assert states(store) == [("x.tar/a", 0, "vanished"), ("x.tar/b", 0, "vanished")]
    shelf.boxes["x.tar"] = dict(box)
    crawl_shelf(store, shelf)
    assert states(store) == before


def test_shards_compared_some_at_a_time_become_what_they_do_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, "files", replace(TABLES["files"], shard_rows=4))
    first = {f"{number}.png": picture() for number in range(20)} | {"note.png": b"no picture", "odd.png": b"text"}
    then = {f"{number}.png": picture() for number in range(14, 44)} | {"note.png": picture(), "odd.png": b"text"}
    # Few, more of them, as before, and none.
    listings = [first, first | then, {name: data for name, data in first.items() if name not in then}, then, {}]
    found = []
    for together in (0, 32):
        monkeypatch.setattr("warehouse.crawled._TOGETHER_BITS", together)
        store, kept = Store(tmp_path / str(together)), []
        for loose in listings:
            shelf = Shelf({}, {}, loose)
            parts = divided([item.uri for item in shelf.listing()], crawled(store, NAME))
            assert parts is not None
            assert (len(list(parts[1])) > 1) == (together == 0)
            plan = crawl_shelf(store, shelf)
            files = [path.read_bytes() for path in store.paths("files") + store.paths("quarantine")]
            kept.append((set(plan.finished), {unit.shard: unit.inputs for unit in plan.work}, files))
        found.append(kept)
    assert found[0] == found[1]


def test_a_row_in_a_shard_that_is_not_its_own_is_moved(tmp_path: Path) -> None:
    store, shelf = Store(tmp_path), Shelf({}, {}, {f"{number}.png": picture() for number in range(4)})
    crawl_shelf(store, shelf)
    before = states(store)
    for table, partition in (("quarantine", quarantine_partition("files", NAME)), ("files", NAME)):
        rows = store.read(table, [partition])
        misplaced = store.write_shard(table, rows, partition=partition, shard="000001", beside="")
        store.commit(table, [misplaced], partition=partition, provenance={"version": 1})
    assert divided(list(shelf.loose), crawled(store, NAME)) is None
    crawl_shelf(store, shelf)
    assert states(store) == before
    assert [path.name[:6] for path in store.paths("files")] == ["000000"]


def test_a_slow_source_is_read_ahead_within_its_bounds_and_in_order(tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    class Slow(Shelf):
        def read(self, uri: str, span: str | None = None) -> bytes:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02 if uri.endswith("0") else 0.005)
            with lock:
                now -= 1
            if uri == "5":
                raise RefusedError("timeout", "no answer")
            return self.loose[uri]

    shelf = Slow({}, {}, {str(number): picture() for number in range(30)}, concurrency=4)
    store = Store(tmp_path)
    crawl_shelf(store, shelf)
    assert most == 4
    table = store.read("files").filter(state="photo").sort("uri")
    assert dict(table.select("uri", "photo_id").iter_rows()) == {
        uri: hashlib.sha256(data).hexdigest() for uri, data in shelf.loose.items() if uri != "5"
    }
    assert store.read("quarantine").select("uri", "reason").rows() == [("5", "timeout")]
