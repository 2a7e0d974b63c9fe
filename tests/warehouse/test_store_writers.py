"""Several writers of one table: real processes that race, are held up, or are killed at every step of a commit."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import polars as pl
import pytest

from warehouse.home import UserError
from warehouse.shards import frame
from warehouse.store import Manifest, Shard, Store

PROJECT = Path(__file__).parents[2]
STEPS = ("os.", "open", "shutil.")
"""How the names of the audit events begin that stand for an operation on files."""
WRITERS = 3


def splits(*groups: str) -> pl.DataFrame:
    return frame("splits", [{"group": group, "fold": 0, "photos": 1} for group in groups])


def commit(store: Store, name: str, after: int | None = None) -> None:
    """A table and its quarantine, both of a shard that is named by who wrote them."""
    shard = Shard(f"000000-{name}.parquet", 1, "")
    store.commit("splits", [shard], beside=[Manifest("quarantine", "splits", (shard,), {})], after=after)


def writers(store: Store) -> list[str]:
    """Who wrote the table, and who its quarantine."""
    manifests = [store.manifest("splits"), store.manifest("quarantine", "splits")]
    return [each.shards[0].file.removeprefix("000000-").removesuffix(".parquet") for each in manifests if each]


def state(store: Store) -> set[str]:
    """Who wrote any of both."""
    return set(writers(store))


def at_step(number: int, sent: signal.Signals) -> Callable[[str, object], None]:
    """An audit hook that sends this process a signal just before its operation on files of that number."""
    steps = count()

    def hook(event: str, _: object) -> None:
        if event.startswith(STEPS) and next(steps) == number:
            os.kill(os.getpid(), sent)

    return hook


def forked(step: int, sent: signal.Signals, work: Callable[[], None]) -> int:
    """A child that works and gets a signal at a step; it ends with 1 where the work is told that another was first."""
    pid = os.fork()
    if pid == 0:
        sys.addaudithook(at_step(step, sent))
        try:
            work()
        except UserError:
            os._exit(1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
        os._exit(0)
    return pid


def ended(pid: int) -> int:
    """What a child ended with; minus the number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_at_every_step(root: Path) -> None:
    for step in count():
        store = Store(root / str(step))
        commit(store, "before")
        after = store.generation("splits")
        code = ended(forked(step, signal.SIGKILL, lambda: commit(store, "killed", after)))  # noqa: B023 (forked now)
        # The table, by which a stage is judged, is not there before its quarantine is.
        assert writers(store) != ["killed", "before"], step
        now = store.generation("splits")
        assert state(store) in ({"before"}, {"killed"}), (step, state(store))
        assert now == after + (state(store) == {"killed"})
        commit(store, "next", now)
        assert state(store) == {"next"}
        if code == 0:
            break
        assert code == -signal.SIGKILL, (step, code)
    print(step)


def stop_at_every_step(root: Path, others: int, tidy: bool) -> None:
    for step in count():
        store = Store(root / f"{others}-{tidy}-{step}")
        commit(store, "before")
        after = store.generation("splits")
        pid = forked(step, signal.SIGSTOP, lambda: commit(store, "late", after))  # noqa: B023
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            break
        # It had won where its commit was decided when it was stopped.
        won = store.generation("splits") > after
        for number in range(others):
            commit(store, f"other{number}", store.generation("splits"))
        for path in sorted(store.folder("splits").glob(".commits/[0-9]*"))[:-1] if tidy else ():
            shutil.rmtree(path)
        os.kill(pid, signal.SIGCONT)
        # One that had won, and whose number is gone since, may take it that it had not.
        assert ended(pid) in ({0, 1} if won and tidy else {0 if won else 1}), step
        store.generation("splits")
        assert state(store) == {f"other{others - 1}"}, (step, state(store))
    print(step)


def call(program: str, *arguments: object) -> str:
    """A function of this module, in a process that has no threads yet, so that it may fork."""
    words = f"from pathlib import Path, PosixPath; from {__name__} import *; {program}{arguments!r}"
    done = subprocess.run([sys.executable, "-c", words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_commit_killed_at_any_step_is_whole_or_not_there_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    assert int(call("kill_at_every_step", tmp_path)) > 15


@pytest.mark.parametrize(("others", "tidy"), [(1, False), (3, False), (3, True)])
def test_a_writer_that_is_held_up_at_any_step_puts_nothing_back(tmp_path: Path, others: int, tidy: bool) -> None:
    assert int(call("stop_at_every_step", tmp_path, others, tidy)) > 15


def race(root: Path, barrier: Barrier, number: int, rounds: int) -> list[tuple[bool, bool]]:
    """For each round whether this writer was taken, and whether the table is then its own whole one."""
    store, said = Store(root), []
    for _ in range(rounds):
        barrier.wait()
        after = store.generation("splits")
        barrier.wait()
        # All write a shard of the same rows as well, under one name and at one time.
        shards = [store.write_shard("splits", splits(f"{number}")), store.write_shard("splits", splits("s"), shard="1")]
        try:
            store.commit("splits", shards, after=after)
            won = True
        except UserError:
            won = False
        barrier.wait()
        said.append((won, store.read("splits")["group"].to_list() == [f"{number}", "s"]))
        barrier.wait()
        if number == 0:
            store.commit("splits", [])
    return said


def test_of_writers_that_began_from_the_same_exactly_one_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    context, rounds = get_context("spawn"), 40
    with context.Manager() as manager, context.Pool(WRITERS) as pool:
        barrier = manager.Barrier(WRITERS, timeout=60)
        work = [(tmp_path, barrier, number, rounds) for number in range(WRITERS)]
        outcomes = pool.starmap(race, work, chunksize=1)
    for each in zip(*outcomes, strict=True):
        assert sum(won for won, _ in each) == 1
        assert all(won == mine for won, mine in each)
    # Shards of those who were not taken stay, and nothing else.
    assert len(Store(tmp_path).finished("splits", "all")) == WRITERS + 1
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".writing-")]


def add_marks(root: Path, number: int, marks: int) -> None:
    """Add marks to a table, reading it each time; note those that were taken, and those that were not, in a file."""
    store = Store(root / "tables")
    with (root / f"{number}.log").open("a", buffering=1) as log:
        for mark in range(marks):
            after = store.generation("splits")
            rows = store.read("splits")
            name = f"{number}-{os.getpid()}-{mark}"
            try:
                store.write("splits", pl.concat([rows, splits(name)]), after=after)
                log.write(f"taken {name}\n")
            except UserError:
                log.write(f"refused {name}\n")


def marks(root: Path) -> tuple[set[str], set[str], set[str]]:
    """Marks that are in the table, that were said to be taken, and that were said not to be."""
    lines = [line.split() for path in root.glob("*.log") for line in path.read_text().splitlines()]
    taken, refused = ({name for said, name in lines if said == word} for word in ("taken", "refused"))
    return set(Store(root / "tables").read("splits")["group"]), taken, refused


def test_nothing_that_was_taken_is_lost(tmp_path: Path) -> None:
    with get_context("spawn").Pool(WRITERS) as pool:
        pool.starmap(add_marks, [(tmp_path, number, 30) for number in range(WRITERS)], chunksize=1)
    there, taken, refused = marks(tmp_path)
    assert there == taken
    assert len(taken | refused) == 30 * WRITERS
    assert refused


@pytest.mark.slow
def test_nothing_that_was_taken_is_lost_though_writers_are_killed(tmp_path: Path) -> None:
    context, moments = get_context("forkserver"), random.Random(0)
    running = {}
    for _ in range(60):
        for number in range(WRITERS):
            if number not in running:
                running[number] = context.Process(target=add_marks, args=(tmp_path, number, 10**6))
                running[number].start()
        time.sleep(moments.uniform(0.05, 1.5))
        victim = running.pop(moments.randrange(WRITERS))
        victim.kill()
        victim.join()
    for process in running.values():
        process.kill()
        process.join()
    add_marks(tmp_path, WRITERS, 1)
    there, taken, refused = marks(tmp_path)
    assert taken <= there
    assert not refused & there
    assert f"{WRITERS}-{os.getpid()}-0" in taken
    # One that was killed may have been taken without a word.
    assert len(there - taken) <= 60 + WRITERS


def test_the_same_again_is_no_conflict_and_no_new_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, "one")
    after = store.generation("splits")
    commit(store, "two", after)
    commit(store, "two", after)
    assert store.generation("splits") == after + 1
    with pytest.raises(UserError, match="table splits, partition all: another run"):
        commit(store, "three", after)
    assert state(store) == {"two"}


def test_a_home_without_commits_goes_on_from_its_manifests(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("splits", splits("a"))
    for path in store.folder("splits").glob(".commits/*"):
        path.rename(tmp_path / "gone")
    assert store.read("splits")["group"].to_list() == ["a"]
    store.write("splits", splits("b"), after=store.generation("splits"))
    assert store.read("splits")["group"].to_list() == ["b"]


def test_a_partition_that_was_taken_out_is_not_brought_back_by_a_writer_that_began_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, "one")
    after = store.generation("splits")
    store.drop("splits", "all", beside=[("quarantine", "splits")])
    assert state(store) == set()
    with pytest.raises(UserError, match="another run"):
        commit(store, "two", after)
    assert state(store) == set()
    commit(store, "three")
    assert state(store) == {"three"}


def test_commits_that_others_followed_go_after_a_day_with_what_killed_writers_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in "abc":
        commit(store, name)
    folder = store.folder("splits") / ".commits"
    (folder / ".writing-x").mkdir()
    assert len(list(folder.iterdir())) == 4
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    commit(store, "d")
    assert [path.name for path in folder.iterdir()] == ["000004"]


def test_a_shard_that_is_found_is_young_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shard = store.write_shard("splits", splits("a"), inputs="one")
    path = store.folder("splits") / shard.file
    os.utime(path, (0, 0))
    assert store.find_shards("splits", "all", {"000000": "one"}) == {"000000": [shard]}
    store.write("splits", splits("b"))
    assert path.exists()
