"""Two runs on one home whose lock does not reach from one to the other: real processes, real stages, no lock at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from assets.stage import Context, Product, Stage, stage
from warehouse.home import Home, UserError
from warehouse.shards import frame, quarantine_partition
from warehouse.store import Store

PROJECT = Path(__file__).parents[2]
QUARANTINE = quarantine_partition("photo_scores")


def made_by(name: str, wait: bool = False) -> Stage:
    """A stage of two tables and a quarantine, whose rows say who made them; with `wait`, once a line is sent to it."""

    @stage(group="detection", tables=["detectors", "photo_scores"])
    def makes(context: Context) -> Product:
        """Rows that differ from run to run, as those of a network that fails at times."""
        if wait:
            print("at work", flush=True)
            input()
        return Product(
            {
                "detectors": row("detectors", detector=name, track="as_shipped"),
                "photo_scores": row("photo_scores", photo_id=name, detector="d", track="as_shipped"),
            },
            quarantine={
                QUARANTINE: row("quarantine", stage="makes", source=name, uri="a", reason="corrupt", detail="")
            },
        )

    return makes


def row(table: str, **values: str) -> pl.DataFrame:
    return frame(table, [dict.fromkeys(frame(table, []).columns) | values])


def makers(store: Store) -> set[str]:
    """Who made what the tables hold now."""
    return {
        *store.read("detectors")["detector"],
        *store.read("photo_scores")["photo_id"],
        *store.read("quarantine", [QUARANTINE])["source"],
    }


def other_run(path: Path, name: str) -> None:
    """A run that is at work until it is told to go on; it says what it is told, and runs again then."""
    context = Context(Home(path))
    try:
        made_by(name, wait=True).materialise(context)
        print("taken")
    except UserError as error:
        print(error)
        again = made_by(name)
        again.materialise(context)
        print(again.is_current(context))


def started(path: Path, name: str) -> subprocess.Popen[str]:
    words = f"from pathlib import Path; from {__name__} import other_run; other_run(Path({str(path)!r}), {name!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", words], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


def test_of_two_runs_of_a_stage_one_is_taken_whole_and_the_other_told_and_its_next_run_ends_current(
    tmp_path: Path,
) -> None:
    context = Context(Home(tmp_path))
    made_by("before").materialise(context)
    with started(tmp_path, "slow") as other:
        made_by("fast").materialise(context)
        assert makers(context.store) == {"fast"}
        said, _ = other.communicate("\n", timeout=60)
    told, current = said.splitlines()
    assert told.startswith("table detectors, partition all: another run has written it")
    assert current == "True"
    assert makers(context.store) == {"slow"}


def test_a_run_that_was_killed_at_work_is_in_nobodys_way(tmp_path: Path) -> None:
    context = Context(Home(tmp_path))
    with started(tmp_path, "killed") as other:
        os.kill(other.pid, signal.SIGKILL)
    made_by("next").materialise(context)
    assert makers(context.store) == {"next"}


def test_two_runs_that_make_the_same_are_both_taken(tmp_path: Path) -> None:
    context = Context(Home(tmp_path))
    with started(tmp_path, "twin") as other:
        made_by("twin").materialise(context)
        said, _ = other.communicate("\n", timeout=60)
    assert said == "taken\n"
    assert makers(context.store) == {"twin"}


def test_what_a_stage_reads_of_its_own_table_is_of_the_generation_that_it_replaces(tmp_path: Path) -> None:
    context = Context(Home(tmp_path))

    @stage(group="corpus", tables=["splits"])
    def remembers(context: Context) -> Product:
        """Another run comes between reading and writing."""
        rows = context.store.read("splits").to_dicts()
        context.store.write("splits", frame("splits", [{"group": "between", "fold": 0, "photos": 1}]))
        return Product({"splits": frame("splits", [*rows, {"group": "mine", "fold": 1, "photos": 1}])})

    with pytest.raises(UserError, match="table splits, partition all: another run"):
        remembers.materialise(context)
    assert context.store.read("splits")["group"].to_list() == ["between"]
