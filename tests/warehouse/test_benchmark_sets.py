import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse import benchmark_sets
from warehouse.benchmark_sets import Listing, generators, list_images, read_set
from warehouse.home import UserError
from warehouse.source_folder import walk_folders


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_folder_layout(tmp_path: Path) -> None:
    touch(tmp_path, "progan/car/0_real/1.png", "progan/car/1_fake/2.png", "adm/1_fake/3.png", "readme.txt", "adm/x.txt")
    assert list_images(tmp_path) == [
        Listing("adm/1_fake/3.png", 1, "adm", "adm", "adm"),
        Listing("progan/car/0_real/1.png", 0, "real", "progan", None),
        Listing("progan/car/1_fake/2.png", 1, "progan", "progan", "progan"),
    ]
    assert generators(tmp_path) == ["adm", "progan", "real"]


def test_the_table_layout(tmp_path: Path) -> None:
    table = tmp_path / "benchmark.csv"
    table.write_text(
        "file,label,generator,source,paired_real,style\n"
        "b.jpg,1,SD v1.4,drawbench,imagenet+web,photo\n"
        "a.jpg,0,real,imagenet,,photo\n"
        "c.jpg,1,ldm,,,photo\n"
    )
    assert list_images(table) == [
        Listing("a.jpg", 0, "real", "imagenet", None),
        Listing("b.jpg", 1, "SD_v1_4", "drawbench", "imagenet+web"),
        Listing("c.jpg", 1, "ldm", "ldm", None),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,label\na,1\n", "column 'generator'"),
        ("file,label,generator\na,fake,x\n", "line 2: label must be"),
        ("file,label,generator\na,0,\nb,1,\n", "line 3: file or generator"),
        ("label,generator\n1,x\n", "no column named"),
        ("file,label,generator\na,0,\na,1,x\n", "line 3: a is named a photograph and generated"),
        ("file,label,generator\na,1,real\n", "no generator can be named 'real'"),
        ("file,label,generator\na,1,sd 1\nb,1,SD-1\nc,1,sd_1\n", "'sd 1' and 'sd_1' cannot be told apart"),
    ],
)
def test_a_table_that_cannot_be_understood_is_named_by_line(tmp_path: Path, content: str, said: str) -> None:
    table = tmp_path / "benchmark.csv"
    table.write_text(content)
    with pytest.raises(UserError, match=said):
        list_images(table)


def test_a_folder_without_the_layout_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "progan/a.png")
    with pytest.raises(UserError, match="no images in folders"):
        list_images(tmp_path)


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        list_images(tmp_path / "nowhere")


def age(root: Path) -> None:
    """As if all folders had been there for an hour."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, (time.time() - 3600,) * 2)


def test_an_unchanged_folder_is_not_read_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "set"
    touch(root, "progan/car/0_real/1.png", "progan/car/1_fake/2.png")
    reads = []

    def walk(folder: Path) -> Iterator[tuple[str, tuple[int, int], list[str]]]:
        reads.append(folder)
        yield from walk_folders(folder)

    monkeypatch.setattr(benchmark_sets, "walk_folders", walk)

    def uris() -> list[str]:
        return [image.uri for image in read_set(root).images]

    # A young folder may change within the tick of its time.
    uris()
    uris()
    assert len(reads) == 2
    age(root)
    first = uris()
    assert uris() == first
    assert generators(root) == ["progan", "real"]
    assert len(reads) == 3
    touch(root, "progan/car/0_real/3.png")
    assert uris() == ["progan/car/0_real/1.png", "progan/car/0_real/3.png", "progan/car/1_fake/2.png"]
    age(root)
    uris()
    (root / "progan" / "car" / "1_fake" / "2.png").unlink()
    assert generators(root) == ["real"]
    age(root)
    uris()
    (root / "progan").rename(root / "gan")
    assert uris() == ["gan/car/0_real/1.png", "gan/car/0_real/3.png"]


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    table = tmp_path / "benchmark.csv"
    table.write_text("file,label,generator\na.jpg,1,x\n")
    assert generators(table) == ["x"]
    table.write_text("file,label,generator\na.jpg,1,x\nb.jpg,1,y\n")
    assert generators(table) == ["x", "y"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "progan/0_real/1.png")
    (tmp_path / "progan" / "0_real").chmod(0)
    with pytest.raises(UserError, match=r"0_real.*cannot be read"):
        list_images(tmp_path)
    (tmp_path / "progan" / "0_real").chmod(0o755)
