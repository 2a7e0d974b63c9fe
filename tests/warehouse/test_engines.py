"""What every engine of parallel work owes, on processes that are really killed: local ones, and a Ray cluster's."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import runs
from tests.ray_cluster import ray_cluster
from warehouse.compute import TRIES, Compute, Failed, compute_of
from warehouse.home import UserError
from warehouse.places import Place
from warehouse.registry import ComputeSettings
from warehouse.shards import Quarantined, Rows, cut_shards, run_shards
from warehouse.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MANY = 100_000
Unit = tuple[Path, int]
"""A folder in which a shard leaves notes, and the number of the shard."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    ray = pytest.importorskip("ray")
    with ray_cluster(nodes=2, cpus=1) as found:
        yield found.address
        ray.shutdown()


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def compute(request: pytest.FixtureRequest) -> Compute:
    engine = request.param
    address = request.getfixturevalue("cluster") if engine == "ray" else "auto"
    return compute_of(ComputeSettings(engine=engine, address=address, workers=2))


def note(unit: Unit, what: str) -> int:
    """Note something of a shard beside what was noted before; how often that was."""
    folder, number = unit
    before = len(list(folder.glob(f"{number}.{what}.*")))
    (folder / f"{number}.{what}.{before}").write_text(str(os.getpid()))
    return before


def noted(folder: Path, what: str) -> list[int]:
    return sorted(int(path.name.partition(".")[0]) for path in folder.glob(f"*.{what}.*"))


def square(unit: Unit) -> int:
    note(unit, "done")
    return unit[1] ** 2


def same(number: int) -> int:
    return number


def slow_first(unit: Unit) -> int:
    time.sleep(3 if unit[1] == 0 else 0)
    return unit[1]


def third_time(unit: Unit) -> int:
    if unit[1] == 1 and note(unit, "tried") < 2:
        raise ValueError("not yet")
    return unit[1]


def poison(unit: Unit) -> int:
    note(unit, "tried")
    if unit[1] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(unit)


def unwell(unit: Unit) -> int:
    if unit[1] == 2:
        note(unit, "tried")
        raise {0: ZeroDivisionError("bad luck"), 1: OSError("the disk"), 2: UserError("mend it")}[len(unit[0].name) % 3]
    return unit[1]


def lingering(unit: Unit) -> int:
    note(unit, "begun")
    while unit[1] or len(noted(unit[0], "begun")) < 2:
        time.sleep(0.05)
    return 0


def units(folder: Path, count: int) -> list[Unit]:
    folder.mkdir(exist_ok=True)
    return [(folder, number) for number in range(count)]


def test_every_shard_has_its_report_once(compute: Compute, tmp_path: Path) -> None:
    assert sorted(compute.map(slowly, units(tmp_path, 20))) == [(n, n) for n in range(20)]
    assert noted(tmp_path, "done") == list(range(20))
    pids = {path.read_text() for path in tmp_path.iterdir()}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids


def test_reports_come_as_shards_finish(compute: Compute, tmp_path: Path) -> None:
    *_, last = compute.map(slow_first, units(tmp_path, 6))
    assert last == (0, 0)


def test_no_more_shards_are_under_way_than_there_are_workers(compute: Compute, tmp_path: Path) -> None:
    reports = compute.map(square, units(tmp_path, 50))
    next(reports)
    time.sleep(1)
    assert len(noted(tmp_path, "done")) <= 4  # two reported, two handed out before
    assert len(list(reports)) == 49


@pytest.mark.slow
def test_memory_is_flat_over_many_shards(compute: Compute) -> None:
    reports = compute.map(same, range(MANY))
    for _ in range(MANY // 10):
        next(reports)
    before, total = resident(), 0
    for number, report in reports:
        assert number == report
        total += 1
    assert total == MANY - MANY // 10
    assert resident() - before < 16 << 20


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def test_a_shard_is_tried_again(compute: Compute, tmp_path: Path) -> None:
    assert sorted(compute.map(third_time, units(tmp_path, 4))) == [(n, n) for n in range(4)]


def test_a_shard_that_takes_its_workers_down_is_given_up_and_the_others_finish(
    compute: Compute, tmp_path: Path
) -> None:
    found = dict(compute.map(poison, units(tmp_path, 10)))
    failed = found.pop(3)
    assert isinstance(failed, Failed)
    assert failed.reason == "worker_lost"
    assert found == {n: n * n for n in range(10) if n != 3}
    assert noted(tmp_path, "tried") == sorted([*range(10), *[3] * (TRIES - 1)])


def test_errors_that_are_the_shards_are_told_and_others_raised(compute: Compute, tmp_path: Path) -> None:
    found = dict(compute.map(unwell, units(tmp_path / "abc", 4)))
    assert found == {0: 0, 1: 1, 2: Failed("failed", "ZeroDivisionError: bad luck"), 3: 3}
    assert noted(tmp_path / "abc", "tried") == [2] * TRIES
    with pytest.raises(OSError, match="the disk"):
        list(compute.map(unwell, units(tmp_path / "abcd", 4)))
    assert noted(tmp_path / "abcd", "tried") == [2] * TRIES
    with pytest.raises(UserError, match="mend it"):
        list(compute.map(unwell, units(tmp_path / "ab", 4)))
    assert noted(tmp_path / "ab", "tried") == [2]


def test_a_worker_killed_in_the_middle_costs_its_shard_alone(compute: Compute, tmp_path: Path) -> None:
    shards = units(tmp_path, 30)
    found, killed = [], False
    for report in compute.map(slowly, shards):
        found.append(report)
        for number in set(noted(tmp_path, "begun")) - set(noted(tmp_path, "done")) if not killed else ():
            os.kill(int((tmp_path / f"{number}.begun.0").read_text()), signal.SIGKILL)
            killed = True
            break
    assert sorted(found) == [(n, n) for n in range(30)]
    assert noted(tmp_path, "done") == list(range(30))
    assert len(noted(tmp_path, "begun")) == 31


def slowly(unit: Unit) -> int:
    note(unit, "begun")
    time.sleep(0.3)
    while unit[1] == 0 and len(noted(unit[0], "begun")) < 2:  # both workers are there
        time.sleep(0.05)
    note(unit, "done")
    return unit[1]


@pytest.mark.parametrize("how", ["closed", "raised"])
def test_workers_end_within_seconds_when_the_work_is_given_up(compute: Compute, tmp_path: Path, how: str) -> None:
    reports = compute.map(lingering, units(tmp_path, 3))
    next(reports)
    workers = [int(path.read_text()) for path in tmp_path.iterdir()]
    if how == "closed":
        reports.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyboardInterrupt):
            reports.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while any(map(runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def touchy(places: tuple[Place, ...]) -> tuple[Rows, list[Quarantined]]:
    for place in places:
        if place.uri == "lethal":
            os.kill(os.getpid(), signal.SIGKILL)
        if place.uri == "wrong":
            raise ZeroDivisionError("divided")
    return [{"group": place.uri, "fold": 0, "photos": 1} for place in places], []


def test_what_is_poisonous_alone_is_quarantined_and_nothing_is_lost(compute: Compute, tmp_path: Path) -> None:
    names = ["lethal", "wrong", *map(str, range(38))]
    places = [Place(f"{n * 0x06000000:08x}".ljust(64, "0"), "corpus", name) for n, name in enumerate(names)]
    store, shards = Store(tmp_path), {"splits": 8}
    work = [
        unit
        for part in range(5)
        for unit in cut_shards("splits", places[part * 8 :][: shards["splits"]], lambda p: p.sha256, list, part)
    ]
    work = [type(unit)(f"{number:06d}", unit.items, unit.inputs) for number, unit in enumerate(work)]
    rows, refused = run_shards(store, compute, "splits", work, touchy, progress=lambda done, total: None)
    store.commit("quarantine", refused, partition="splits")
    store.commit("splits", rows)
    found = store.read("quarantine", ["splits"]).select("uri", "reason", "photo_id").rows()
    assert sorted(found) == [("lethal", "worker_lost", places[0].sha256), ("wrong", "failed", places[1].sha256)]
    assert sorted(store.read("splits")["group"]) == sorted(names[2:])
    again = run_shards(store, compute, "splits", work, touchy, progress=lambda done, total: None)
    assert again == (rows, refused)
