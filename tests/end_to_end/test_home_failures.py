"""A home that cannot be written, and photographs that may not be read: one clear line, and the next run goes on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.end_to_end.test_chain import tables
from warehouse.home import Home
from warehouse.store import Store

pytestmark = pytest.mark.slow

SDAIE = str(Path(sys.executable).with_name("sdaie"))
RUN = ("run", "--only", "corpus")
# Root may do anything; without its powers it is a user like others.
POWERLESS = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []


def call(words: list[str], *, before: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*(before or []), *words], capture_output=True, text=True, check=False)


def said_in_one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a run that could not be done said last; it is no traceback and the only complaint."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("sdaie: ")
    return last


def photographs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        path = folder / f"g{number % 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a corpus that was never crawled."""
    if POWERLESS and call(["true"], before=POWERLESS).returncode:
        pytest.skip("root cannot give up its powers here (setpriv)")
    photographs(tmp_path / "corpus")
    home = Home(tmp_path / "home")
    assert call([SDAIE, "--home", str(home.path), "corpus", "add", "c", str(tmp_path / "corpus")]).returncode == 0
    return home


def reasons(home: Home) -> list[tuple[str, str]]:
    return Store(home.tables).read("quarantine").select("uri", "reason").rows()


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return call([SDAIE, "--home", str(home.path), *RUN, *words], before=POWERLESS)


def test_what_may_not_be_read_is_quarantined_until_it_may(home: Home, tmp_path: Path) -> None:
    closed, file = tmp_path / "corpus" / "g0", tmp_path / "corpus" / "g1" / "1.png"
    closed.chmod(0)
    file.chmod(0)
    try:
        done = run(home)
    finally:
        closed.chmod(0o755)
        file.chmod(0o644)
    assert done.returncode == 0, done.stderr
    assert reasons(home) == [("g0/", "unreadable"), ("g1/1.png", "unreadable")]
    assert len(Store(home.tables).read("photos")) == 29
    assert run(home).returncode == 0
    assert (reasons(home), len(Store(home.tables).read("photos"))) == ([], 40)


def test_a_corpus_that_may_not_be_read_at_all_is_one_line(home: Home, tmp_path: Path) -> None:
    (tmp_path / "corpus").chmod(0)
    try:
        done = run(home)
    finally:
        (tmp_path / "corpus").chmod(0o755)
    assert "corpus cannot be listed: Permission denied" in said_in_one_line(done)
    assert run(home).returncode == 0


@pytest.mark.parametrize("closed", [".", "tables", "dagster/history/runs"])
def test_a_home_that_may_not_be_written_is_one_line(home: Home, tmp_path: Path, closed: str) -> None:
    assert run(home).returncode == 0
    before = tables(home)
    (tmp_path / "corpus" / "g0" / "0.png").unlink()
    paths = [home.path / closed, *(home.path / closed).rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        done = run(home)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert "cannot be written" in said_in_one_line(done)
    assert tables(home) == before
    assert run(home).returncode == 0
    assert len(Store(home.tables).read("photos")) == 39


def test_files_that_may_not_grow_are_one_line(home: Home) -> None:
    """A limit on the size of files is what a full disk is, without the rights to make one."""
    limited = ["prlimit", "--fsize=2000"]
    if call(["true"], before=limited).returncode:
        pytest.skip("no prlimit here")
    done = call([SDAIE, "--home", str(home.path), *RUN], before=limited)
    assert "cannot be written" in said_in_one_line(done)
    assert run(home).returncode == 0


# In a namespace of its own, where anyone may mount: a disk of 3 MB, filled to leave so many kB, then emptied.
_FULL = """
set -u
mount -t tmpfs -o size=3m tmpfs "$2"
"$1" --home "$2/home" corpus add c "$3" && "$1" --home "$2/home" run --only corpus || exit 9
for left in 0 40 400; do
    head -c $(( $(df --output=avail -B 1 "$2" | tail -1) - left * 1024 )) /dev/zero > "$2/fill"
    "$1" --home "$2/home" run --only corpus --force > "$4/$left.txt" 2>&1
    echo "exit $?" >> "$4/$left.txt"
    rm "$2/fill"
done
mount -o remount,ro "$2"
"$1" --home "$2/home" run --only corpus --force > "$4/read_only.txt" 2>&1
echo "exit $?" >> "$4/read_only.txt"
mount -o remount,rw "$2"
cp -r "$2/home/tables" "$4/before"
"$1" --home "$2/home" run --only corpus --force || exit 8
cp -r "$2/home/tables" "$4/after"
"""


def test_a_full_disk_and_a_read_only_one_are_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or call(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], before=namespace).returncode:
        pytest.skip("no mounts in a namespace of one's own here")
    photographs(tmp_path / "corpus")
    disk, answers = tmp_path / "disk", tmp_path / "answers"
    disk.mkdir()
    answers.mkdir()
    done = call(["sh", "-c", _FULL, "sh", SDAIE, str(disk), str(tmp_path / "corpus"), str(answers)], before=namespace)
    assert done.returncode == 0, done.stdout + done.stderr
    stopped = 0
    for answer in answers.glob("*.txt"):
        *lines, code = answer.read_text().splitlines()
        assert not any("Traceback" in line for line in lines), lines
        if code == "exit 0":
            continue
        assert code == "exit 1"
        assert lines[-1].startswith("sdaie: ")
        assert "cannot be written" in lines[-1]
        stopped += 1
    assert stopped >= 3
    assert not list((answers / "before").rglob(".writing-*"))
    after = {path.relative_to(answers / "after"): path for path in (answers / "after").rglob("*") if path.is_file()}
    assert {name: (answers / "before" / name).read_bytes() for name in after} == {
        name: path.read_bytes() for name, path in after.items()
    }
