import hashlib
import io
import os
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from warehouse.file_facts import look
from warehouse.home import UserError
from warehouse.places import Listed, RefusedError
from warehouse.source_folder import read_bytes
from warehouse.sources import open_source


def picture(kind: str = "JPEG", size: tuple[int, int] = (40, 30), software: str | None = None) -> bytes:
    exif = Image.Exif()
    if software:
        exif[0x0131] = software
    out = io.BytesIO()
    Image.new("RGB", size, (10, 200, 90)).save(out, kind, exif=exif)
    return out.getvalue()


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture())


def refusal(folder: Path, uri: str) -> str:
    with pytest.raises(RefusedError) as caught:
        look(read_bytes(folder, uri))
    assert caught.value.detail
    return caught.value.reason


def test_a_folder_is_walked_and_its_first_folders_are_groups(tmp_path: Path) -> None:
    write(tmp_path, "b/deep/2.jpg", "a/1.jpg", "alone.jpg")
    listed = open_source(tmp_path, corpus="mine").listing()
    assert [(item.uri, item.group) for item in listed] == [
        ("a/1.jpg", "mine/a"),
        ("alone.jpg", "mine/alone.jpg"),
        ("b/deep/2.jpg", "mine/b"),
    ]
    assert all(item.size and item.modified_ns for item in listed)


def test_a_linked_folder_is_not_followed_and_a_link_out_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "inside/1.jpg", "outside/2.jpg")
    (tmp_path / "inside" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "file.jpg").symlink_to(tmp_path / "outside" / "2.jpg")
    assert [item.uri for item in open_source(tmp_path / "inside", corpus="mine").listing()] == [
        "1.jpg",
        "file.jpg",
        "folder",
    ]
    assert refusal(tmp_path / "inside", "file.jpg") == "outside_source"
    assert refusal(tmp_path / "inside", "folder") == "not_a_regular_file"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_names_files_beside_it_and_their_groups(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "x/1.jpg")
    table = pl.DataFrame({"file": ["x/1.jpg", "x/none.jpg", "x/1.jpg"], "who": ["Ann", "Bob", "Ann"]})
    path = tmp_path / f"table.{suffix}"
    table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    there, missing = open_source(path, corpus="mine", group="who").listing()
    assert (there.uri, there.group) == ("x/1.jpg", "Ann")
    assert missing == Listed("x/none.jpg", "Bob", None, None)
    assert refusal(tmp_path, "x/none.jpg") == "missing"


@pytest.mark.parametrize(
    ("content", "group", "said"),
    [("name\nx\n", None, "no column named"), ("file\nx\n", "who", "no column 'who'"), ("", None, "not a table")],
)
def test_a_table_that_names_no_files_is_an_error(tmp_path: Path, content: str, group: str | None, said: str) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(UserError, match=said):
        open_source(tmp_path / "table.csv", corpus="mine", group=group).listing()


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_source(tmp_path / "nowhere", corpus="mine")


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "x.png"), ("PNG", "x"), ("WEBP", "x.jpg"), ("TIFF", "x.txt")])
def test_the_format_is_told_by_content_not_by_name(tmp_path: Path, kind: str, name: str) -> None:
    data = picture(kind, software="camera 1.0")
    (tmp_path / name).write_bytes(data)
    facts = look(read_bytes(tmp_path, name))
    assert (facts.format, facts.width, facts.height, facts.size) == (kind, 40, 30, len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.software == "camera 1.0"


def test_a_photograph_with_broken_exif_is_a_photograph(tmp_path: Path) -> None:
    data = picture(software="camera 1.0").replace(b"Exif\0\0MM\0*", b"Exif\0\0MM\x13*")
    assert b"MM\x13*" in data
    (tmp_path / "x.jpg").write_bytes(data)
    facts = look(read_bytes(tmp_path, "x.jpg"))
    assert (facts.format, facts.software) == ("JPEG", None)


def test_what_is_no_photograph_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "note.jpg").write_text("dear diary")
    (tmp_path / "drawing.gif").write_bytes(picture("GIF"))
    (tmp_path / "header.jpg").write_bytes(picture("PNG")[:12])
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refusal(tmp_path, "empty.jpg") == "empty"
    assert refusal(tmp_path, "note.jpg") == "not_an_image"
    assert refusal(tmp_path, "drawing.gif") == "not_a_photograph_format"
    assert refusal(tmp_path, "header.jpg") in {"not_an_image", "broken_header"}
    assert refusal(tmp_path, "pipe.jpg") == "not_a_regular_file"
    assert refusal(tmp_path, "a\0b.jpg") == "unreadable"
    assert refusal(tmp_path, "x" * 300) == "unreadable"


def test_the_first_look_tells_how_a_jpeg_was_compressed() -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "JPEG", quality=83, subsampling="4:2:2")
    facts = look(out.getvalue())
    assert (facts.jpeg_quality, facts.chroma_subsampling) == (83, "4:2:2")
    facts = look(picture("PNG"))
    assert (facts.jpeg_quality, facts.chroma_subsampling) == (None, None)
