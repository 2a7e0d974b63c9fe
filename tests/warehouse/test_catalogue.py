"""The catalogue: what it holds, that it can be moved and swapped, and that a query can only read."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from warehouse.catalogue import QUERIES, ask, build_catalogue, connect, query, ready_queries
from warehouse.home import Home, UserError
from warehouse.schema import TABLES
from warehouse.shards import frame
from warehouse.store import Store


@pytest.fixture
def home(make_home: Any) -> Home:
    home: Home = make_home()
    return home


def names(home: Home, kind: str) -> set[str]:
    with duckdb.connect(str(home.catalogue), read_only=True) as connection:
        rows = connection.execute(f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE NOT internal").fetchall()
    return {row[0] for row in rows}


def test_every_table_is_there_copied_or_as_a_view(home: Home) -> None:
    assert names(home, "table") == {t.name for t in TABLES.values() if t.copied} | {"benchmark_metrics_before"}
    ready = set(ready_queries())
    assert names(home, "view") == {t.name for t in TABLES.values() if not t.copied} | (ready - set(TABLES))


@pytest.mark.parametrize("stop", ["empty", "benchmark"])
def test_columns_have_the_same_types_with_and_without_rows(make_home: Any, stop: str) -> None:
    home = make_home(stop)
    with duckdb.connect() as connection:
        for table in TABLES.values():
            connection.register("typed", table.arrow.empty_table())
            expected = [row[:2] for row in connection.execute("DESCRIBE typed").fetchall()]
            assert [row[:2] for row in query(home, f"DESCRIBE {table.name}").rows] == expected


def test_everything_is_commented(home: Home) -> None:
    assert not query(
        home, "SELECT * FROM duckdb_columns() WHERE NOT internal AND comment IS NULL AND database_name = 'catalogue'"
    ).rows
    tables = (
        "SELECT comment FROM duckdb_tables() UNION ALL SELECT comment FROM duckdb_views() "
        "WHERE NOT internal AND database_name = 'catalogue'"
    )
    assert all(row[0] for row in query(home, tables).rows)
    about = query(home, "SELECT comment FROM duckdb_columns() WHERE table_name = 'exif' AND column_name = 'iso'").rows
    assert about == [("sensitivity [ISO] (EXIF 0x8827)",)]


def test_what_a_corpus_says_beside_its_files_has_a_column_for_each_name(make_home: Any) -> None:
    home = make_home("corpus")
    store = Store(home.tables)
    said = [
        {"source_license": "CC0", "source_A/b~\"'": "7"},
        {"source_license": None},
        {f"source_{n}": "x" for n in "xy"},
    ]
    rows = [{"corpus": "said", "uri": str(n), "revision": 0, "source": json.dumps(each)} for n, each in enumerate(said)]
    store.write("files", frame("files", [*rows, {"corpus": "said", "uri": "9", "revision": 0}]), partition="said")
    build_catalogue(home, store)
    answer = query(home, "SELECT columns('source_.*') FROM files WHERE corpus = 'said' ORDER BY uri")
    assert answer.columns == ["source_a_b", "source_license", "source_x", "source_y"]
    assert answer.rows == [("7", "CC0", None, None), (None,) * 4, (None, None, "x", "x"), (None,) * 4]
    assert [column for column in query(home, "FROM files").columns if column in TABLES["files"].column_names] == list(
        TABLES["files"].column_names
    )
    assert not query(
        home, "FROM duckdb_columns() WHERE comment IS NULL AND table_name = 'files' AND schema_name = 'main'"
    ).rows


def test_rows_lie_in_the_order_of_the_key(home: Home) -> None:
    for table in (t for t in TABLES.values() if t.copied):
        key = ", ".join(f'"{name}"' for name in table.key)
        rows = query(home, f"SELECT {key} FROM {table.name}").rows
        assert rows == sorted(rows)


def test_storage_is_that_of_the_first_stable_duckdb(home: Home) -> None:
    # Bytes 12-19 of the main header hold the number of the storage format; 64 is read since 0.9 and by 1.0.
    assert int.from_bytes(home.catalogue.read_bytes()[12:20], "little") == 64


def test_nothing_but_the_catalogue_is_left_beside_it(home: Home) -> None:
    assert {path.name for path in home.path.iterdir()} == {"tables", "catalogue.duckdb", "catalogue.names.json"}


def test_a_failed_build_leaves_the_former_catalogue(home: Home) -> None:
    before = home.catalogue.read_bytes()
    store = Store(home.tables)
    store.paths("exif")[0].write_bytes(b"damaged")
    with pytest.raises(duckdb.Error):
        build_catalogue(home, store)
    assert home.catalogue.read_bytes() == before
    assert {path.name for path in home.path.iterdir()} == {"tables", "catalogue.duckdb", "catalogue.names.json"}


def test_two_builds_hold_the_same(home: Home) -> None:
    before = {name: query(home, f"FROM {name}").rows for name in [*TABLES, *ready_queries()]}
    build_catalogue(home, Store(home.tables))
    assert {name: query(home, f"FROM {name}").rows for name in before} == before


@pytest.mark.parametrize("name", sorted(path.stem for path in QUERIES.glob("*.sql")))
def test_ready_queries_answer_by_name_on_full_and_empty_homes(home: Home, make_home: Any, name: str) -> None:
    answer = query(home, name)
    assert answer.rows
    assert answer == query(home, f"FROM {name}") or name in TABLES
    bare = make_home("empty", name="bare")
    assert query(bare, name) == (answer.columns, [])


def test_ready_queries_are_described() -> None:
    described = ready_queries()
    assert list(described) == sorted(described)
    assert {"leaderboard", "per_generator", "calibration", "exif_coverage", "quarantine", "pretext", "corpora"} <= set(
        described
    )
    assert all(text.endswith(".") and "\n" not in text for text in described.values())


def test_leaderboard_puts_the_headline_track_and_the_best_first(home: Home) -> None:
    answer = query(home, "leaderboard")
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert [row["track"] for row in rows] == ["format_matched"] * 7 + ["as_shipped"] * 7
    aurocs = [row["auroc"] or row["auroc_mean"] for row in rows[:7]]
    assert aurocs == sorted(aurocs, reverse=True)
    best = rows[0]
    cells = query(
        home,
        "SELECT generator, auroc FROM benchmark_metrics WHERE detector = 'one_class' AND track = 'format_matched' "
        "AND perturbation = 'none' AND (n_fake >= 20 OR generator = 'small_sets') AND generator <> 'all' "
        "AND auroc IS NOT NULL",
    ).rows
    assert best["detector"] == "one_class"
    assert best["generators"] == len(cells) == 4
    assert best["auroc_mean"] == pytest.approx(sum(auroc for _, auroc in cells) / 4)
    assert (best["worst_generator"], best["auroc_worst"]) == min(cells, key=lambda cell: cell[1])


def test_leaderboard_leaves_small_generators_out_of_the_mean(make_home: Any) -> None:
    home = make_home()
    store = Store(home.tables)
    cells = store.read("benchmark_metrics")
    small = pl.col("generator") == "biggan"
    cells = cells.with_columns(
        pl.when(small).then(19).otherwise("n_fake").alias("n_fake"),
        pl.when(small).then(0.01).otherwise("auroc").alias("auroc"),
    )
    store.write("benchmark_metrics", cells, partition="dev")
    build_catalogue(home, store)
    assert all(worst > 0.01 for (worst,) in query(home, "SELECT auroc_worst FROM leaderboard").rows)


def test_exif_coverage_begins_with_all_makes(home: Home) -> None:
    answer = query(home, "FROM exif_coverage WHERE tag IN ('make', 'f_number', 'brightness_ev')")
    assert answer.rows[:3] == [
        ("all makes", "make", 60, 45, 0.75),
        ("all makes", "f_number", 60, 40, pytest.approx(2 / 3)),
        ("all makes", "brightness_ev", 60, 0, 0.0),
    ]
    assert ("no make", "make", 15, 0, 0.0) in answer.rows


def test_corpora_balance(home: Home) -> None:
    answer = query(home, "corpora")
    (row,) = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert (row["files"], row["photographs"], row["quarantined"], row["stopped_later"]) == (63, 60, 3, 1)
    assert row["former"] == 2
    assert (row["groups"], row["fitting"], row["validation"], row["calibration"]) == (10, 36, 12, 12)


def test_a_content_counts_once_and_in_each_fold_it_lies_in(tmp_path: Path) -> None:
    home, empty = Home(tmp_path), dict.fromkeys(frame("files", []).columns)
    places = [
        ("a", "x", "1", "g0"),
        ("a", "y", "1", "g0"),
        ("a", "z", "1", "g3"),
        ("a", "v", "2", "g4"),
        ("b", "n", None, "g"),
    ]
    rows = [
        empty
        | {"corpus": corpus, "uri": uri, "revision": 0, "group": group, "photo_id": content}
        | {"state": "quarantined" if content is None else "photo"}
        for corpus, uri, content, group in places
    ]
    store = Store(home.tables)
    for corpus in ("a", "b"):
        store.write("files", frame("files", [row for row in rows if row["corpus"] == corpus]), partition=corpus)
    folds = [{"group": group, "fold": fold, "photos": 1} for group, fold in (("g0", 0), ("g3", 3), ("g4", 4))]
    store.write("splits", frame("splits", folds))
    build_catalogue(home, store)
    # corpus, files, photographs, quarantined, former, stopped_later, groups, fitting, validation, calibration
    assert query(home, "corpora").rows == [("a", 4, 2, 0, 0, 0, 3, 1, 1, 1), ("b", 1, 0, 1, 0, 0, 0, 0, 0, 0)]


def test_left_out_counts_by_class(home: Home) -> None:
    rows = query(home, "SELECT DISTINCT track, reason, photographs, generated, judged FROM left_out").rows
    assert rows == [("format_matched", "smaller_than_256", 1, 1, 58)]


def test_views_on_parquet_work_from_anywhere_and_after_a_move(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert query(home, "SELECT count(*) FROM exif_raw").rows == [(60,)]
    moved = Home(tmp_path / "it's moved")
    shutil.move(home.path, moved.path)
    assert query(moved, "SELECT count(*) FROM exif_raw WHERE tags LIKE '%Apple%'").rows == [(15,)]
    ((vector,),) = query(moved, "SELECT token0 FROM reference_features").rows
    assert len(vector) == 4


def test_any_duckdb_program_reads_the_views_from_the_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.path)
    with duckdb.connect("catalogue.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM exif_raw").fetchall() == [(60,)]


def test_the_command_line_of_an_older_duckdb_answers(home: Home) -> None:
    program = str(Path(sys.executable).with_name("duckdb"))
    sql = "SELECT count(*) AS n FROM leaderboard UNION ALL SELECT count(*) FROM benchmark_features"
    said = subprocess.run(
        [program, "-readonly", "-json", home.catalogue.name, "-c", sql],
        cwd=home.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["n"] > 0 for row in json.loads(said.stdout)] == [True, True]
    assert "v1.5" in subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


def test_nothing_is_drawn_on_the_output_of_a_worker(home: Home) -> None:
    told = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    # As a process of multiprocessing begins, and unlike a program in a file.
    program = (
        "import sys, duckdb; from pathlib import Path; from warehouse.catalogue import query; "
        "from warehouse.home import Home; "
        f'print(duckdb.sql("{told}").fetchall(), query(Home(Path(sys.argv[1])), "{told}").rows)'
    )
    said = subprocess.run([sys.executable, "-c", program, home.path], capture_output=True, text=True, check=True)
    assert said.stdout == "[('true',)] [('false',)]\n"


def test_a_swap_does_not_disturb_who_reads(home: Home) -> None:
    store = Store(home.tables)
    with connect(home) as reader:
        store.drop("quarantine", "crops")
        build_catalogue(home, store)
        assert ask(reader, "SELECT count(*) FROM quarantine").rows == [(4,)]
        assert query(home, "SELECT count(*) FROM quarantine").rows == [(3,)]
        with duckdb.connect(str(home.catalogue), read_only=True) as other:
            assert other.execute("SELECT count(*) FROM quarantine").fetchall() == [(3,)]


FORBIDDEN = [
    "COPY files TO '{outside}/files.csv'",
    "COPY files TO '{home}/files.csv'",
    "COPY files TO '{home}/catalogue.duckdb' (USE_TMP_FILE false)",
    "COPY files TO '{home}/catalogue.duckdb.wal'",
    "EXPORT DATABASE '{home}/export'",
    "EXPLAIN ANALYZE COPY files TO '{home}/files.csv'",
    "DELETE FROM files",
    "INSERT INTO splits VALUES ('a', 1, 2)",
    "UPDATE splits SET fold = 4",
    "DROP TABLE files",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE VIEW mine AS SELECT 1",
    "ATTACH '/etc/passwd'",
    "ATTACH '{outside}/other.duckdb' AS other",
    "DETACH catalogue",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text('../../../../../../etc/passwd')",
    "SELECT * FROM read_csv('{outside}/other.csv')",
    "SELECT * FROM '{outside}/other.csv'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "FROM enable_logging(storage = 'file', storage_config = {{'path': '{home}'}})",
    "FROM local_variable",
    "PRAGMA database_list",
    "PRAGMA threads = 1",
    "SET lock_configuration = false",
    "SET enable_external_access = true",
    "RESET disabled_filesystems",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "SELECT 1; SELECT 2",
    "",
    "SELEC 1",
    "FROM no_such_table",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_sql_that_does_more_than_read_is_refused_in_one_line(home: Home, tmp_path: Path, sql: str) -> None:
    local_variable = home  # noqa: F841  DuckDB would look for tables among Python's variables
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other.csv").write_text("secret\n1\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as refusal:
        query(home, sql.format(outside=outside, home=home.path))
    assert "\n" not in str(refusal.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("sql", [sql for sql in FORBIDDEN if sql.startswith(("COPY", "EXP", "ATTACH", "SET", "RESET"))])
def test_the_connection_itself_is_closed_to_files(home: Home, tmp_path: Path, sql: str) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with connect(home) as connection, pytest.raises(duckdb.Error):
        connection.execute(sql.format(outside=tmp_path, home=home.path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "sql", ["DESCRIBE exif", "SHOW TABLES", "EXPLAIN FROM exif", "PIVOT exif ON make USING count(*)"]
)
def test_all_ways_of_reading_are_open(home: Home, sql: str) -> None:
    assert query(home, sql).rows


def test_an_unknown_name_lists_the_names(home: Home) -> None:
    with pytest.raises(UserError, match=r"no ready query 'leaderbord'.*calibration, changes, .*corpora.*per_generator"):
        query(home, "leaderbord")


def test_a_catalogue_of_another_release_says_so_when_a_query_fails_on_it(home: Home) -> None:
    with duckdb.connect(str(home.catalogue)) as connection:
        connection.execute("ALTER TABLE files DROP COLUMN revision")
        connection.execute("COMMENT ON TABLE files IS 'Files. Key: corpus, uri. Version 1.'")
    assert query(home, "SELECT count(*) FROM files").rows == [(65,)]
    with pytest.raises(UserError, match=r"revision.*another release of sdaie \(files\): `sdaie run` publishes it anew"):
        query(home, "SELECT revision FROM files")


def test_without_a_catalogue_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^nothing published yet in .*: run `sdaie run`$"):
        query(Home(tmp_path), "leaderboard")


def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.catalogue.write_text("something else" * 1000)
    with pytest.raises(UserError, match=r"catalogue\.duckdb: .*not a valid DuckDB"):
        query(home, "leaderboard")


def test_every_example_of_the_documentation_answers(home: Home) -> None:
    text = (QUERIES.parent.parent / "docs" / "queries.md").read_text(encoding="utf-8")
    blocks = [block.split("\n```")[0] for block in text.split("```sql\n")[1:]]
    examples = [sql for block in blocks for sql in block.split(";") if sql.strip()]
    assert len(examples) == 8
    for sql in examples:
        assert query(home, sql).columns, sql
    views = re.findall(r"`(\w+)`", text[text.index("\n\n`exif_raw`, `crops`") : text.index("are views on Parquet")])
    assert set(views) == {table.name for table in TABLES.values() if not table.copied}
    listed = text[text.index("## Ready queries") : text.index("## Tables to build on")]
    assert set(re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)) == set(ready_queries())
