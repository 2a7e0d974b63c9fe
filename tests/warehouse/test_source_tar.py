"""Tar shards: what `tarfile` writes is read as it reads it, and what is broken or hostile has a reason."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import source_tar, tar_stream
from warehouse.home import UserError
from warehouse.places import Listed, RefusedError
from warehouse.sources import open_source
from warehouse.tar_stream import walk_tar

Files = list[tuple[str, bytes]]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)


def tar(files: Files, form: int = tarfile.PAX_FORMAT, extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info in extra:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def walked(data: bytes) -> tuple[list[tuple[str, bytes | str]], str | None]:
    """Names with their bytes or reasons, and the reason why it ended before its end."""
    found: list[tuple[str, bytes | str]] = []
    members = walk_tar(io.BytesIO(data))
    try:
        found.extend((m.name, m.data if isinstance(m.data, bytes) else m.data.reason) for m in members)
    except RefusedError as error:
        return found, error.reason
    return found, None


def crawled(
    folder: Path, pattern: str = "*.tar", group: str | None = None
) -> tuple[list[tuple[Listed, bytes | RefusedError]], list[str]]:
    """All members of all shards of a pattern, and the reasons of shards that end early."""
    source = open_source(f"{folder}/{pattern}", corpus="mine", group=group)
    found, ended = [], []
    for shard in source.listing():
        assert shard.is_container
        try:
            for item in source.members(shard):
                found.append(item)  # noqa: PERF402 (what came before an error counts)
        except RefusedError as error:
            ended.append(error.reason)
    for listed, data in found:
        if isinstance(data, bytes):
            assert source.read(listed.uri, listed.span) == data
            assert source.local_path(listed.uri, listed.span) is None
    return found, ended


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=5), st.sampled_from(FORMATS))
def test_an_archive_is_walked_as_tarfile_reads_it(files: Files, form: int) -> None:
    try:
        data = tar(files, form)
    except (ValueError, UnicodeEncodeError):  # a name that this format cannot hold
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(m.name, m.offset_data, archive.extractfile(m).read()) for m in archive if m.isfile()]  # type: ignore[union-attr]
    members = list(walk_tar(io.BytesIO(data)))
    # tarfile takes the slash from a name that ends in one and has a size.
    assert [(m.name.rstrip("/"), m.offset, m.data) for m in members] == [(n.rstrip("/"), o, d) for n, o, d in expected]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.data())
def test_a_broken_archive_ends_with_a_reason_and_nothing_else(noise: bytes, data: st.DataObject) -> None:
    good = tar([("a/1.jpg", b"x" * 700), ("é" * 120 + ".jpg", b"y")])
    at = data.draw(st.integers(0, len(good)))
    found, reason = walked(good[:at] + noise + good[at + len(noise) :])
    assert reason in {None, "broken_tar", "compressed", "empty"}
    assert len(found) <= len(good) // 512


def test_every_cut_of_an_archive_is_noticed() -> None:
    files = [("1.jpg", b"x" * 600), ("2.jpg", b"y")]
    good = tar(files, tarfile.USTAR_FORMAT)
    for end in range(0, 512 + 1024 + 512 + 512, 64):
        found, reason = walked(good[:end])
        assert found == files[: len(found)]
        assert reason == ("broken_tar" if end else "empty")


def test_pictures_have_their_fields_wherever_those_stand(tmp_path: Path) -> None:
    fields = json.dumps({"license": "CC0", "width": 3, "ok": True, "none": None, "list": [1], "gps": "1,2"}).encode()
    files = [
        ("a/1.jpg", b"one"),
        ("a/1.json", fields),
        ("a/1.txt", b" a caption\n"),
        ("a/2.cls", b"7"),
        ("a/2.png", b"two"),
        ("a/2.seg.png", b"mask"),
        ("b.JPG", b"three"),
        ("a/3.txt", b"of no picture"),
        ("a/4.zip", b"no picture"),
    ]
    (tmp_path / "s-0.tar").write_bytes(tar(files))
    found, ended = crawled(tmp_path)
    assert ended == []
    assert [(listed.uri, listed.group, data, dict(listed.columns)) for listed, data in found] == [
        ("s-0.tar/a/1.jpg", "mine/a", b"one", {"license": "CC0", "width": "3", "ok": "true", "txt": "a caption"}),
        ("s-0.tar/a/2.png", "mine/a", b"two", {"cls": "7"}),
        ("s-0.tar/a/2.seg.png", "mine/a", b"mask", {"cls": "7"}),
        ("s-0.tar/b.JPG", "mine/b", b"three", {}),
        ("s-0.tar/a/4.zip", "mine/a", b"no picture", {}),
    ]


def test_a_group_is_a_field_and_folders_of_this_name_are_none(tmp_path: Path) -> None:
    files = [("./1.jpg", b"1"), ("./1.json", b'{"photographer": "Ann"}'), ("./2.jpg", b"2")]
    (tmp_path / "s.tar").write_bytes(tar(files))
    found, _ = crawled(tmp_path, group="photographer")
    assert [(listed.group, listed.columns) for listed, _ in found] == [("Ann", ()), ("mine/2", ())]


def test_fields_that_cannot_be_understood_and_names_that_come_twice_are_not_lost(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    files = [
        ("1.jpg", b"1"),
        ("1.json", b"{"),
        ("2.json", b"[]"),
        ("3.json", deep),
        ("1.jpg", b"again"),
        ("1.jpg", b"x"),
    ]
    files.append(("4.txt", bytes(source_tar.LARGEST_FIELDS + 1)))
    (tmp_path / "s.tar").write_bytes(tar(files))
    found, _ = crawled(tmp_path)
    assert [(item.uri, data if isinstance(data, bytes) else data.reason) for item, data in found] == [
        ("s.tar/1.jpg", b"1"),
        ("s.tar/1.json", "broken_fields"),
        ("s.tar/2.json", "broken_fields"),
        ("s.tar/3.json", "broken_fields"),
        ("s.tar/1.jpg", b"again"),
        ("s.tar/1.jpg", b"x"),
        ("s.tar/4.txt", "fields_too_large"),
    ]


def test_what_is_held_back_for_its_fields_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_tar, "MOST_HELD", 10)
    files = [("1.a.jpg", b"x" * 8), ("1.b.jpg", b"x" * 8), ("1.c.jpg", b"x"), ("1.txt", b"late")]
    (tmp_path / "s.tar").write_bytes(tar(files))
    found, _ = crawled(tmp_path)
    assert [(item.uri[-5:], dict(item.columns)) for item, _ in found] == [
        ("a.jpg", {}),
        ("b.jpg", {}),
        ("c.jpg", {"txt": "late"}),
    ]


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    files = [("/etc/passwd", b"1"), ("../../up.jpg", b"2"), ("new\nline.jpg", b"3"), ("x.tar/y.jpg", b"4")]
    (tmp_path / "s.tar").write_bytes(tar(files))
    found, _ = crawled(tmp_path)
    assert [item.uri for item, _ in found] == [f"s.tar/{name}" for name, _ in files]
    assert [path.name for path in tmp_path.iterdir()] == ["s.tar"]


def member(kind: bytes, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"{kind!r}.jpg")
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


def test_links_devices_and_pipes_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    (tmp_path / "s.tar").write_bytes(tar([("1.jpg", b"1")], extra=(*map(member, kinds), member(tarfile.DIRTYPE))))
    found, ended = crawled(tmp_path)
    assert [data if isinstance(data, bytes) else data.reason for _, data in found] == ["not_a_regular_file"] * 5 + [
        b"1"
    ]
    assert ended == []


def test_files_with_holes_are_refused_and_the_rest_is_read() -> None:
    after = tar([("1.jpg", b"1")])
    header = bytearray(member(tarfile.GNUTYPE_SPARSE, 512).tobuf(tarfile.GNU_FORMAT))
    header[482] = 1
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    more = bytes(504) + b"\0" * 8
    assert walked(bytes(header) + more + bytes(512) + after) == ([("b'S'.jpg", "sparse"), ("1.jpg", b"1")], None)
    pax = tarfile.TarInfo("p.jpg")
    pax.size, pax.pax_headers = 512, {"GNU.sparse.major": "1", "GNU.sparse.name": "named.jpg"}
    assert walked(tar([("1.jpg", b"1")], extra=(pax,)))[0] == [("named.jpg", "sparse"), ("1.jpg", b"1")]


def test_a_size_beyond_the_limit_is_skipped_and_an_absurd_one_ends_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_stream, "MAX_BYTES", 100)
    assert walked(tar([("1.jpg", bytes(101)), ("2.jpg", b"2")])) == ([("1.jpg", "too_large"), ("2.jpg", b"2")], None)
    for size, reason in ((1 << 40, "broken_tar"), (1 << 61, "broken_tar"), (1 << 80, "broken_tar")):
        header = member(tarfile.REGTYPE, size).tobuf(tarfile.GNU_FORMAT)
        assert walked(header + bytes(1024))[1] == reason


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_without_measure_is_not_read(kind: bytes) -> None:
    assert walked(member(kind, 1 << 33).tobuf(tarfile.GNU_FORMAT) + bytes(1 << 21))[1] == "broken_tar"


@pytest.mark.parametrize(
    "record", [b"0 a=b\n", b"1 a=b\n", b"99 a=b\n", b"a=b\n", b"6 abc\n", b"-6 a=b\n", b"12 size=-1\n"]
)
def test_an_extended_header_that_lies_about_itself_ends_the_archive(record: bytes) -> None:
    header = member(tarfile.XHDTYPE, len(record)).tobuf(tarfile.USTAR_FORMAT)
    assert walked(header + record.ljust(512, b"\0") + tar([("1.jpg", b"1")])) == ([], "broken_tar")


def test_an_archive_that_is_packed_empty_or_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(gzip.compress(tar([("1.jpg", b"1")])))
    (tmp_path / "b.tar").write_bytes(b"")
    (tmp_path / "c.tar").write_bytes(b"no archive at all" * 99)
    (tmp_path / "d.tar").mkdir()
    (tmp_path / "e.tar").write_bytes(bytes(1024))
    assert crawled(tmp_path) == ([], ["compressed", "empty", "broken_tar", "not_a_regular_file"])


def test_a_shard_that_is_named_and_not_there_is_listed(tmp_path: Path) -> None:
    (tmp_path / "s-00.tar").write_bytes(tar([("1.jpg", b"1")]))
    source = open_source(f"{tmp_path}/s-{{00..01}}.tar", corpus="mine")
    there, missing = source.listing()
    assert (there.uri, there.size) == ("s-00.tar", 10240)
    assert missing == Listed("s-01.tar", "", None, None, is_container=True)
    with pytest.raises(RefusedError, match="missing"):
        list(source.members(missing))
    (tmp_path / "s-00.tar").write_bytes(b"")
    with pytest.raises(RefusedError):
        source.read("s-00.tar/1.jpg", "512+1")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("none*.tar", "no shard"), ("x.tar.gz", "unpack"), ("x.tgz", "unpack"), ("{1..x}.tar", "no range")],
)
def test_a_pattern_that_means_nothing_is_an_error(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_source(f"{tmp_path}/{pattern}", corpus="mine").listing()
