from pathlib import Path

import pytest

from warehouse.benchmark_sets import Listing, generators, list_images
from warehouse.home import UserError


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
