import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.warehouse.test_exiftool import exiftool_pids, write_inflating_png, write_jpeg
from warehouse import exiftool_pool
from warehouse.exiftool_pool import read_places
from warehouse.exiftool_process import ExifLimits
from warehouse.home import UserError
from warehouse.places import Listed, Place, RefusedError
from warehouse.source_folder import FolderSource

OWNER = """
import sys, time
from pathlib import Path
from warehouse.exiftool_pool import read_places
from warehouse.places import Place
from warehouse.source_folder import FolderSource
folder = Path(sys.argv[1])
places = [Place("0", "c", path.name) for path in folder.iterdir()] * 100_000
print("started", flush=True)
read_places({"c": FolderSource(folder)}, places, 2)
"""


@dataclass
class Bucket:
    """Pictures that lie nowhere on a disk, given out slowly; counts what is out at once."""

    pictures: dict[str, bytes]
    concurrency: int = 4
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listing(self) -> list[Listed]:
        return [Listed(uri, "", len(data), None) for uri, data in sorted(self.pictures.items())]

    def read(self, uri: str, span: str | None = None) -> bytes:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        if uri not in self.pictures:
            raise RefusedError("missing", "no such object")
        return self.pictures[uri]

    def members(self, container: Listed) -> Iterator[tuple[Listed, bytes | RefusedError]]:
        raise NotImplementedError

    def local_path(self, uri: str, span: str | None = None) -> Path | None:
        return None


def placed(source: str, uri: str, data: bytes) -> Place:
    return Place(hashlib.sha256(data).hexdigest(), source, uri, size=len(data))


def models(count: int, folder: Path) -> dict[str, bytes]:
    return {f"{n}.jpg": write_jpeg(folder / f"{n}.jpg", model=f"model {n}").read_bytes() for n in range(count)}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    before = descriptors()
    yield
    assert exiftool_pids() == []
    assert descriptors() == before


@pytest.mark.parametrize("processes", [1, 3])
def test_records_are_in_the_order_of_the_places_from_files_and_buckets_alike(tmp_path: Path, processes: int) -> None:
    pictures = models(30, tmp_path)
    bucket = Bucket(pictures)
    places = [placed(("folder", "bucket")[n % 2], uri, data) for n, (uri, data) in enumerate(pictures.items())]
    records = read_places({"folder": FolderSource(tmp_path), "bucket": bucket}, places, processes)
    assert [record.tags and record.tags["IFD0:Model"] for record in records] == [f"model {n}" for n in range(30)]
    assert 1 < bucket.most <= bucket.concurrency
    assert read_places({}, [], processes) == []


def test_the_same_bytes_give_the_same_record_from_a_disk_and_from_a_bucket(tmp_path: Path) -> None:
    pictures = models(1, tmp_path)
    places = [placed(source, "0.jpg", pictures["0.jpg"]) for source in ("folder", "bucket")]
    first, second = read_places({"folder": FolderSource(tmp_path), "bucket": Bucket(pictures)}, places, 1)
    assert first == second


def test_what_cannot_be_had_is_a_record_with_the_reason_between_the_others(tmp_path: Path) -> None:
    pictures = models(4, tmp_path)
    (tmp_path / "1.jpg").write_bytes(b"shorter")
    (tmp_path / "2.jpg").unlink()
    places = [placed("folder", uri, data) for uri, data in pictures.items()]
    bad = [Place("0" * 64, "bucket", "0.jpg", size=9), placed("bucket", "absent", b"")]
    records = read_places({"folder": FolderSource(tmp_path), "bucket": Bucket(pictures)}, [*places, *bad], 2)
    assert [record.error is None for record in records] == [True, False, False, True, False, False]
    refused = [record.reason for record in records if record.error]
    assert refused == ["changed_meanwhile", "missing", "changed_meanwhile", "missing"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_picture_that_kills_exiftool_is_the_only_one_lost_to_the_pool(tmp_path: Path) -> None:
    pictures = models(40, tmp_path)
    pictures["9.jpg"] = write_inflating_png(tmp_path / "bomb.png", 128 << 20).read_bytes()
    places = [placed("bucket", uri, data) for uri, data in pictures.items()]
    records = read_places({"bucket": Bucket(pictures)}, places, 2, ExifLimits(memory_bytes=128 << 20))
    assert [number for number, record in enumerate(records) if record.tags is None] == [9]
    assert "memory" in str(records[9].error)


def test_no_more_is_held_at_once_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = models(24, tmp_path)
    size = len(pictures["0.jpg"])
    monkeypatch.setattr(exiftool_pool, "HELD_BYTES", size // 2)
    bucket = Bucket(pictures)
    records = read_places({"bucket": bucket}, [placed("bucket", u, d) for u, d in pictures.items()], 2)
    assert all(record.tags for record in records)
    assert bucket.most == 1


def test_an_error_that_is_no_picture_s_ends_all_threads(tmp_path: Path) -> None:
    class Broken(Bucket):
        def read(self, uri: str, span: str | None = None) -> bytes:
            if uri == "5.jpg":
                raise ZeroDivisionError
            return super().read(uri, span)

    pictures = models(40, tmp_path)
    with pytest.raises(ZeroDivisionError):
        read_places({"b": Broken(pictures)}, [placed("b", u, d) for u, d in pictures.items()], 2)


def test_a_pool_without_exiftool_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = models(2, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="is not installed"):
        read_places({"b": Bucket(pictures)}, [placed("b", u, d) for u, d in pictures.items()], 2)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system ends a process with its parent")
def test_no_exiftool_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    models(1, tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as said:
        assert said.readline() == "started\n"
    children: list[str] = []
    deadline = time.monotonic() + 20
    while len(children) < 2 and time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(owner.pid)], capture_output=True, text=True)
        children = [line.split()[0] for line in listed.stdout.splitlines() if "exiftool" in line]
        time.sleep(0.05)
    assert len(children) == 2
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_another_version_than_the_run_reads_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"exiftool [\d.]+ is installed, the run reads with 1\.00: install the same"):
        read_places({"folder": FolderSource(tmp_path)}, [], 1, version="1.00")
