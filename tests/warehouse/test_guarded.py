import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from assets.decoding import decoding
from tests.processes import runs
from tests.warehouse.guarded_functions import misbehave, modules, ones
from warehouse.file_facts import looking
from warehouse.guarded import Guarded, Limits
from warehouse.places import RefusedError

LIMITS = Limits(seconds=1, memory_bytes=512 << 20)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def call() -> Iterator[Guarded[bytes]]:
    with Guarded(misbehave, LIMITS) as call:
        yield call


@pytest.mark.parametrize(
    ("word", "reason", "said"),
    [
        (b"sleep", "too_slow", "no answer within 1 s"),
        (b"spin", "too_slow", "no answer within 1 s"),
        (b"crash", "crashed", "SIGSEGV"),
        (b"exit", "crashed", "process ended"),
        (b"killed", "crashed", "SIGKILL"),
        (b"memory", "too_much_memory", "more than 512 MB"),
        (b"refuse", "corrupt", "it is broken"),
    ],
)
def test_harm_is_a_reason_and_the_next_call_is_answered(
    call: Guarded[bytes], word: bytes, reason: str, said: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        call(word)
    assert caught.value.reason == reason
    assert said in caught.value.detail
    assert call(b"and now?") == b"and now?"


def test_an_exception_that_cannot_be_sent_says_the_same(call: Guarded[bytes]) -> None:
    with pytest.raises(RuntimeError, match="UnpicklableError: one"):
        call(b"unpicklable")


def test_what_the_function_prints_goes_nowhere(call: Guarded[bytes], capfd: pytest.CaptureFixture[str]) -> None:
    call(b"print")
    assert capfd.readouterr() == ("", "")


def test_large_arguments_and_results_arrive_whole() -> None:
    data = os.urandom(5 << 20)
    with Guarded(misbehave, LIMITS) as call:
        assert call(data) == data
        assert call(b"") == b""
    with Guarded(ones, LIMITS) as make:
        sizes = [3, 0, 40_000_000, 1]
        arrays = make(" ".join(map(str, sizes)).encode())
        assert [array.sum() for array in arrays] == sizes
        assert all(array.flags.writeable for array in arrays if array.size)
        again = make(b"3")
        again[0][:] = 7
        assert arrays[0].tolist() == [1, 1, 1]


def test_a_function_that_cannot_be_imported_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "vanishing.py"
    module.write_text("def function(data):\n    return data\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("vanishing").function
    module.write_text("raise ValueError('it cannot be imported any more')")
    with Guarded(function, LIMITS) as call, pytest.raises(ValueError, match="cannot be imported"):
        call(b"")


def test_nothing_is_left_open_or_running() -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    with Guarded(misbehave, LIMITS) as call, Guarded(ones, LIMITS) as make:
        call(b"x")
        for _ in range(20):
            make(b"100")
        assert call._child is not None
        child = call._child._process
    assert child.returncode == -signal.SIGKILL
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_what_looks_and_decodes_is_lean() -> None:
    heavy = b"dagster polars torch sklearn scipy duckdb pyarrow"
    with Guarded(modules, LIMITS) as ask:
        assert ask(heavy) == []
    for call in (looking(), decoding()):
        module = call._job.function.__module__
        program = f"import sys, {module}; print(set(sys.modules) & set({heavy.decode().split()}))"
        said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "set()"


def test_it_works_in_worker_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        assert pool.submit(_in_a_worker, b"x").result() == b"x"


def _in_a_worker(data: bytes) -> bytes:
    with Guarded(misbehave, LIMITS) as call:
        return call(data)


@pytest.mark.parametrize("busy", [True, False])
def test_it_ends_with_its_owner_though_that_is_killed(tmp_path: Path, busy: bool) -> None:
    said = tmp_path / "pid"
    program = (
        "import os, sys, time\n"
        "from warehouse.guarded import Guarded, Limits\n"
        "from tests.warehouse.guarded_functions import misbehave, sleep\n"
        "with Guarded(sleep if sys.argv[2] == 'True' else misbehave, Limits(30, 1 << 30)) as call:\n"
        "    call(os.fsencode(sys.argv[1]))\n"
        "    open(sys.argv[1], 'w').write(str(call._child._process.pid))\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(said), str(busy)], cwd=ROOT)
    try:
        _wait_for(lambda: said.exists() and bool(said.read_text()))
    finally:
        owner.kill()
        owner.wait()
    child = int(said.read_text())
    _wait_for(lambda: not runs(child))


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
