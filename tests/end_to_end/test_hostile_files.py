"""Files that mean harm, through the stages as a user runs them: nothing hangs, nothing is lost, nothing leaks out."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from assets.crawl import files
from assets.decoding import decoding
from assets.stage import Context
from tests.end_to_end.hostile_files import bombs, mutants, photographs, write_entries, write_names
from warehouse.home import Home
from warehouse.places import RefusedError
from warehouse.registry import Corpus, add_corpus
from warehouse.shards import quarantine_partition
from warehouse.store import Store

ORIGINALS = Path(__file__).parents[3] / "shared/corpus/originals"
LIMIT_MB = 1536
CROPS_LIMIT_MB = 2 * LIMIT_MB  # every process may decode a picture of 120 megapixels, which takes more than 800 MB
DECODE_REASONS = {
    "corrupt",
    "crashed",
    "not_a_photograph_format",
    "not_an_image",
    "pixels_not_decoded",
    "too_large",
    "too_much_memory",
    "unsupported_mode",
}


def write_corpus(folder: Path, count: int, real: bool) -> int:
    """A folder of everything that means harm; how many files a listing of it has."""
    folder.mkdir()
    made = photographs()
    several = dict(mutants(made, count, seed=0)) | bombs() | {f"whole.{name}": data for name, data in made.items()}
    if real:
        originals = {path.name: path.read_bytes() for path in sorted(ORIGINALS.iterdir())}
        several |= originals | {f"real.{name}": data for name, data in mutants(originals, 180, seed=1)}
    for name, data in several.items():
        (folder / name).write_bytes(data)
    return len(several) + write_names(folder, made["jpg"]) + write_entries(folder, made["jpg"])


def test_mutants_decode_or_have_a_reason() -> None:
    reasons = set()
    with decoding() as decode:
        for _, data in mutants(photographs(), 250, seed=2):
            try:
                height, width, channels = decode(data).shape
                assert height * width > 0
                assert channels == 3
            except RefusedError as error:
                reasons.add((error.reason, bool(error.detail)))
    assert reasons <= {(reason, True) for reason in DECODE_REASONS}
    assert {"corrupt", "pixels_not_decoded"} <= {reason for reason, _ in reasons}


def test_a_crawl_takes_or_refuses_every_entry(tmp_path: Path) -> None:
    listed = write_corpus(tmp_path / "corpus", 100, real=False)
    home = Home(tmp_path / "home")
    add_corpus(home, "hostile", Corpus(source=str(tmp_path / "corpus")))
    files.materialise(Context(home, "hostile"))
    store = Store(home.tables)
    states = store.read("files", ["hostile"])["state"].to_list()
    refused = store.read("quarantine", [quarantine_partition("files", "hostile")])
    assert len(states) == listed
    assert states.count("quarantined") == len(refused)
    assert all(reason and detail and detail.isprintable() for reason, detail in refused["reason", "detail"].iter_rows())


@pytest.mark.slow
def test_the_stages_outlive_everything_that_means_harm(tmp_path: Path) -> None:
    place = tmp_path
    listed = write_corpus(place / "corpus", 1_000, real=ORIGINALS.is_dir())
    before = fingerprint(place / "corpus")
    for name in ("home", "temporary", "elsewhere"):
        (place / name).mkdir()
    home = Home(place / "home")
    stages = "from assets.crops import crops; from assets.stage import Context; from warehouse.home import Home"
    sdaie = [str(Path(sys.executable).with_name("sdaie")), "--home", str(home.path)]
    measured(place, [*sdaie, "corpus", "add", "hostile", str(place / "corpus")], LIMIT_MB)
    measured(place, [*sdaie, "run", "--only", "corpus"], LIMIT_MB)
    measured(place, [*sdaie, "run", "--only", "exif"], LIMIT_MB)
    measured(place, [sys.executable, "-c", f"{stages}; crops.materialise(Context(Home.find()))"], CROPS_LIMIT_MB)

    assert fingerprint(place / "corpus") == before
    assert not list((place / "elsewhere").iterdir())
    assert not Path("/tmp/sdaie-written").exists()
    assert not list((place / "temporary").iterdir())
    store = Store(home.tables)
    files = store.read("files", ["hostile"])
    refused = store.read("quarantine", [quarantine_partition("files", "hostile")])
    states = files.filter(pl.col("state") == "photo"), files.filter(pl.col("state") == "quarantined")
    assert len(files) == listed
    assert sorted(refused["uri"]) == sorted(states[1]["uri"])
    photos = store.read("photos")
    assert set(photos["photo_id"]) == set(states[0]["photo_id"])
    for stage, done in (("exif_raw", set(store.read("exif_raw")["photo_id"])), ("crops", _cut(store))):
        quarantined = store.read("quarantine", [quarantine_partition(stage)])
        assert not done & set(quarantined["photo_id"])
        assert done | set(quarantined["photo_id"]) == set(photos["photo_id"])
        assert len(done) + len(quarantined) == len(photos)
    assert set(store.read("exif")["photo_id"]) == set(store.read("exif_raw")["photo_id"])
    everything = store.read("quarantine", store.partitions("quarantine"))
    assert everything.filter((pl.col("reason") == "") | (pl.col("detail") == "")).is_empty()
    print(everything.group_by("stage", "reason").len().sort("stage", "reason").rows())


def _cut(store: Store) -> set[str]:
    return set(store.read("crops", columns=["photo_id"])["photo_id"])


DEADLINE_SECONDS = 300


def measured(place: Path, command: list[str], limit_mb: int) -> None:
    """Run a command without root's rights; it ends in time and with success, and never takes more than the limit."""
    environment = {key: value for key, value in os.environ.items() if key not in ("SDAIE_HOME", "DAGSTER_HOME")}
    environment |= {
        "SDAIE_HOME": str(place / "home"),
        "HOME": str(place / "elsewhere"),
        "TMPDIR": str(place / "temporary"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    without_rights = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    with (
        open(place / "said", "w+b") as said,  # noqa: PTH123
        subprocess.Popen(
            [*without_rights, *command],
            cwd=place / "elsewhere",
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        ) as process,
    ):
        peak = Peak(process.pid)
        try:
            code = process.wait(DEADLINE_SECONDS)
        finally:
            process.kill()
            mb = peak.stop() >> 20
        said.seek(0)
        words = said.read().decode()
    print(f"{' '.join(command[-4:])[:60]}: {mb} MB at most")
    assert code == 0, words[-4000:]
    assert mb < limit_mb


class Peak:
    """The most memory that the processes of a session hold together, pages they share counted once."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._most = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Bytes."""
        self._stopped.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self._most = max(self._most, sum(self._held()))

    def _held(self) -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == self._session:
                    (line,) = [x for x in (folder / "smaps_rollup").read_text().splitlines() if x.startswith("Pss:")]
                    yield int(line.split()[1]) << 10
            except (OSError, ValueError):
                continue


def fingerprint(folder: Path) -> dict[bytes, tuple[int, int, int]]:
    """Every entry below a folder with its kind, size and time of change."""
    found = {}
    for parent, folders, names in os.walk(os.fsencode(folder)):
        for name in folders + names:
            status = os.lstat(parent + b"/" + name)
            found[parent + b"/" + name] = status.st_mode, status.st_size, status.st_mtime_ns
    return found
