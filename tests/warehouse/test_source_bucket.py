"""Buckets: fsspec's own in memory for what is ours, and a real S3 server on the loopback address for the whole."""

import io
import os
import pickle
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest

from warehouse import source_bucket
from warehouse.home import UserError
from warehouse.places import RefusedError
from warehouse.registry import Network
from warehouse.source_bucket import BucketStorage
from warehouse.sources import open_source
from warehouse.storage import forget

NETWORK = Network()


@pytest.fixture
def memory() -> Iterator[str]:
    """A bucket in memory with two files."""
    import fsspec

    forget()
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/set/x/1.jpg": b"one", "/bucket/set/2.jpg": b"two", "/bucket/other/3.jpg": b"three"})
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


def reason(storage: BucketStorage, name: str) -> str:
    with pytest.raises(RefusedError) as caught:
        storage.read(name)
    return caught.value.reason


def test_a_prefix_is_a_folder_of_files(memory: str) -> None:
    source = open_source(f"{memory}/set", corpus="mine")
    listed = source.listing()
    assert [(item.uri, item.group, item.size) for item in listed] == [
        ("2.jpg", "mine/2.jpg", 3),
        ("x/1.jpg", "mine/x", 3),
    ]
    assert all(item.modified_ns for item in listed)
    assert source.read("x/1.jpg") == b"one"
    assert source.local_path("x/1.jpg") is None
    assert source.concurrency == NETWORK.concurrency
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_listing_stands_for_a_minute(memory: str) -> None:
    import fsspec

    source = open_source(f"{memory}/set/")
    assert len(source.listing()) == 2
    fsspec.filesystem("memory").pipe("/bucket/set/new.jpg", b"new")
    assert len(source.listing()) == 2
    forget()
    assert len(source.listing()) == 3


def test_what_a_store_fails_with_is_a_reason(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    storage = BucketStorage(f"{memory}/set/", NETWORK)
    fsspec.filesystem("memory").pipe("/bucket/set/empty.jpg", b"")
    assert reason(storage, "none.jpg") == "missing"
    assert reason(storage, "empty.jpg") == "empty"
    monkeypatch.setattr(source_bucket, "MAX_BYTES", 2)
    assert reason(storage, "2.jpg") == "too_large"
    store = type(fsspec.filesystem("memory"))
    for error, code in (
        (PermissionError("Access Denied"), "no_permission"),
        (RuntimeError("of its own"), "unreachable"),
    ):

        def fail(*args: object, error: Exception = error, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr(store, "cat_file", fail)
        monkeypatch.setattr(store, "info", fail)
        assert reason(storage, "2.jpg") == code
        assert storage.facts(["2.jpg"]) == [(None, None, f"head: {code}")]


def test_a_bucket_that_cannot_be_listed_or_read_at_all_is_one_line(memory: str) -> None:
    for address, said in (
        (f"{memory}/none", "no files below|cannot be listed"),
        ("nothing://bucket", "cannot be read"),
        ("zip://x::memory://bucket", "chains"),
        ("zip:///x.zip", "archives and caches are not read"),
        ("dbfs://instance/x", "cannot be read: .* missing"),
        ("data://x", "cannot be listed: the store fails: NotImplementedError"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            open_source(address).listing()
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_a_store_whose_extra_is_not_installed_says_which(memory: str) -> None:
    with pytest.raises(UserError, match=r"pip install 'sdaie\[gs\]'"):
        open_source("gs://bucket/prefix").listing()


def test_a_local_disk_can_be_addressed_as_well(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.jpg").write_bytes(b"one")
    (item,) = open_source(f"file://{tmp_path}").listing()
    assert (item.uri, item.size) == ("x/1.jpg", 3)
    assert abs((item.modified_ns or 0) - (tmp_path / "x" / "1.jpg").stat().st_mtime_ns) < 1000


def test_a_worker_process_opens_a_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.jpg").write_bytes(b"one")
    source = open_source(f"file://{tmp_path}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(source.read, "x/1.jpg").result() == b"one"


def test_the_host_in_an_address_is_the_stores_to_tell() -> None:
    one, other = (source_bucket._store(f"webhdfs://{host}:50070/x") for host in ("a", "b"))
    assert (one.url, other.url) == ("http://a:50070/webhdfs/v1", "http://b:50070/webhdfs/v1")
    assert source_bucket._store("webhdfs://a:50070/y") is one


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    for name in ("open/1.jpg", "closed/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"one")
    listed = LocalFileSystem.ls

    def ls(self: LocalFileSystem, path: str, *args: object, **kwargs: object) -> object:
        if path.endswith("closed"):
            raise PermissionError("closed")
        return listed(self, path, *args, **kwargs)

    monkeypatch.setattr(LocalFileSystem, "ls", ls)
    with pytest.raises(UserError, match=r"cannot be listed: the store does not let us read it"):
        open_source(f"file://{tmp_path}").listing()


def shard(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return out.getvalue()


def test_shards_in_a_bucket_are_read_by_range(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setattr(source_bucket, "BLOCK", 700)
    for number in range(2):
        fsspec.filesystem("memory").pipe(f"/bucket/shards/s-{number}.tar", shard(f"a/{number}.jpg", f"b/{number}.jpg"))
    for pattern in ("s-{0..1}.tar", "*.tar"):
        source = open_source(f"{memory}/shards/{pattern}", corpus="mine")
        found = [item for container in source.listing() for item in source.members(container)]
        assert [(item.uri, item.group) for item, _ in found] == [
            ("s-0.tar/a/0.jpg", "mine/a"),
            ("s-0.tar/b/0.jpg", "mine/b"),
            ("s-1.tar/a/1.jpg", "mine/a"),
            ("s-1.tar/b/1.jpg", "mine/b"),
        ]
        assert [source.read(item.uri, item.span) for item, _ in found] == [data for _, data in found]


def test_a_table_in_a_bucket_names_files_beside_it_and_no_local_ones(memory: str) -> None:
    import fsspec

    rows = ["set/2.jpg", "memory://bucket/other/3.jpg", "/etc/passwd", "file:///etc/passwd"]
    fsspec.filesystem("memory").pipe("/bucket/t.csv", pl.DataFrame({"uri": rows}).write_csv().encode())
    source = open_source(f"{memory}/t.csv", corpus="mine")
    read = {}
    for item in source.listing():
        try:
            read[item.uri] = source.read(item.uri)
        except RefusedError as error:
            read[item.uri] = error.reason.encode()
    assert [read[row] for row in rows] == [b"two", b"three", b"protocol_refused", b"protocol_refused"]


@pytest.mark.slow
def test_a_bucket_of_a_real_s3_server_is_listed_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.server import ThreadedMotoServer

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        import s3fs

        store = s3fs.S3FileSystem(skip_instance_cache=True)
        store.mkdir("bucket")
        pictures = {f"set/{group}/{number}.jpg": bytes([number]) * 9 for group in "ab" for number in range(1, 4)}
        odd = {"set/c/ü #1?.jpg": b"odd", "set/c/empty.jpg": b""}
        store.pipe({f"bucket/{name}": data for name, data in (pictures | odd).items()})
        store.pipe("bucket/shards/s-0.tar", shard("k/1.jpg", "k/2.jpg"))
        store.pipe("bucket/t.csv", b"uri,license\nset/a/1.jpg,CC0\ns3://bucket/set/b/2.jpg,\ns3://none/x.jpg,\n")
        source = open_source("s3://bucket/set", corpus="mine")
        listed = source.listing()
        assert {f"set/{item.uri}" for item in listed} == set(pictures | odd)
        assert all(item.etag and item.modified_ns and item.size is not None for item in listed)
        assert {f"set/{item.uri}": source.read(item.uri) for item in listed if item.size} == pictures | {
            "set/c/ü #1?.jpg": b"odd"
        }
        for name, code in (("c/empty.jpg", "empty"), ("none.jpg", "missing")):
            with pytest.raises(RefusedError, match=code):
                source.read(name)
        shards = open_source("s3://bucket/shards/*.tar")
        (container,) = shards.listing()
        found = list(shards.members(container))
        assert (
            [shards.read(item.uri, item.span) for item, _ in found]
            == [data for _, data in found]
            == [b"k/1.jpg", b"k/2.jpg"]
        )
        table = open_source("s3://bucket/t.csv")
        assert [(item.uri, item.size, item.columns) for item in table.listing()] == [
            ("s3://bucket/set/b/2.jpg", 9, ()),
            ("s3://none/x.jpg", None, ()),
            ("set/a/1.jpg", 9, (("license", "CC0"),)),
        ]
        assert table.read("s3://bucket/set/b/2.jpg") == pictures["set/b/2.jpg"]
        before = {item.uri: item.etag for item in listed}
        store.pipe("bucket/set/a/1.jpg", b"changed")
        forget()
        after = {item.uri: item.etag for item in source.listing()}
        assert [uri for uri in after if after[uri] != before[uri]] == ["a/1.jpg"]
        with pytest.raises(UserError, match=r"cannot be listed|no files"):
            open_source("s3://nobody/x").listing()
    finally:
        server.stop()
        source_bucket._filesystem.cache_clear()
