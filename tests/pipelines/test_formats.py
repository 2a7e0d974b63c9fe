import csv
import io
import json

from pipelines.formats import print_rows

COLUMNS = ["name", "share", "note"]
ROWS = [("one_class", 0.74321, None), ("x", 1.0, "a,\nb")]


def test_a_table_is_aligned_and_counts_its_rows() -> None:
    assert print_rows(COLUMNS, ROWS, "table").splitlines() == [
        "name        share  note",
        "---------  ------  ----",
        "one_class  0.7432",
        "x               1  a, b",
        "2 rows",
    ]


def test_csv_is_read_back_whole() -> None:
    read = list(csv.reader(io.StringIO(print_rows(COLUMNS, ROWS, "csv"))))
    assert read == [COLUMNS, ["one_class", "0.74321", ""], ["x", "1.0", "a,\nb"]]


def test_json_is_read_back_whole() -> None:
    assert json.loads(print_rows(COLUMNS, ROWS, "json")) == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
