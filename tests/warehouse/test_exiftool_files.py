import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse import exiftool_files
from warehouse.exiftool_files import hold, open_file
from warehouse.places import RefusedError


def descriptors() -> set[str]:
    folder = Path("/proc/self/fd")
    return {path.name for path in (folder if folder.is_dir() else Path("/dev/fd")).iterdir()}


@pytest.fixture(params=[True, False], ids=["by_descriptor", "by_path"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[bool]:
    """Both ways of naming a file; nothing stays open and nothing stays in the folder of temporary files."""
    if request.param and not exiftool_files.BY_DESCRIPTOR:
        pytest.skip("there is no /proc")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(exiftool_files, "BY_DESCRIPTOR", request.param)
    before = descriptors()
    yield request.param
    assert descriptors() == before
    assert list(temporary.iterdir()) == []


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"picture")
    return path


def refusal(path: Path, size: int | None = None, modified_ns: int | None = None) -> str:
    with pytest.raises(RefusedError) as refused:
        open_file(path, size, modified_ns)
    return refused.value.reason


def test_a_file_as_it_was_crawled_is_there_under_its_name(way: bool, picture: Path) -> None:
    status = picture.stat()
    file = open_file(picture, status.st_size, status.st_mtime_ns)
    assert Path(file.name).read_bytes() == b"picture"
    assert (file.name == str(picture)) is not way
    file.settle()


@pytest.mark.usefixtures("way")
def test_a_file_that_is_not_as_it_was_crawled_is_refused(picture: Path) -> None:
    status = picture.stat()
    assert refusal(picture, status.st_size + 1, status.st_mtime_ns) == "changed_meanwhile"
    assert refusal(picture, status.st_size, status.st_mtime_ns + 1) == "changed_meanwhile"
    open_file(picture, None, status.st_mtime_ns).settle()


@pytest.mark.usefixtures("way")
def test_a_file_that_changes_while_it_is_open_is_refused(picture: Path) -> None:
    file = open_file(picture)
    picture.write_bytes(b"another picture")
    with pytest.raises(RefusedError, match="changed_meanwhile: the file changed while it was read: run again"):
        file.settle()


def test_a_file_that_is_replaced_while_it_is_open_is_read_whole_or_refused(way: bool, picture: Path) -> None:
    file = open_file(picture)
    other = picture.with_name("b.jpg")
    other.write_bytes(b"another")
    other.replace(picture)
    if way:
        assert Path(file.name).read_bytes() == b"picture"
        file.settle()
    else:
        with pytest.raises(RefusedError, match="changed_meanwhile"):
            file.settle()


def test_a_file_that_is_removed_while_it_is_open_is_read_whole_or_refused(way: bool, picture: Path) -> None:
    file = open_file(picture)
    picture.unlink()
    if way:
        file.settle()
    else:
        with pytest.raises(RefusedError, match="changed_meanwhile: the file went away"):
            file.settle()


@pytest.mark.usefixtures("way")
def test_what_is_no_file_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        names = [tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero"), tmp_path]
        assert {refusal(path) for path in names} == {"not_a_regular_file"}
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert refusal(tmp_path / "broken") == refusal(tmp_path / "absent") == "missing"
    assert refusal(tmp_path / "nul\0") == refusal(tmp_path / ("x" * 300)) == "unreadable"


def test_bytes_are_a_file_and_none_on_disk_where_there_are_descriptors(way: bool, tmp_path: Path) -> None:
    file = hold(b"x" * 200_000)
    assert Path(file.name).read_bytes() == b"x" * 200_000
    assert len(list((tmp_path / "temporary").iterdir())) == (0 if way else 1)
    file.settle()
