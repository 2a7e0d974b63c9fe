import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from warehouse.home import Home, UserError
from warehouse.home_lock import held_alone, held_together

OTHER = "from pathlib import Path; from warehouse.home import Home; from warehouse.home_lock import {how}\n"
OTHER += "with {how}(Home(Path({path!r})), print): print('held', flush=True); input()"


def other(home: Home, how: str) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is written to, or killed."""
    code = OTHER.format(how=how, path=str(home.path))
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_steps_of_the_ui_work_side_by_side_and_keep_the_command_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with other(home, "held_together") as process:
        with held_together(home, pytest.fail):
            pass
        with pytest.raises(UserError, match="at work"), held_alone(home):
            pass
        process.kill()
    with held_alone(home):
        pass


def test_whoever_waits_says_so_and_goes_on_when_the_other_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    said: list[str] = []
    with other(home, "held_alone") as process:
        assert process.stdin is not None
        threading.Timer(1.5, process.stdin.write, ["\n"]).start()
        threading.Timer(1.6, process.stdin.flush).start()
        with held_together(home, said.append):
            assert len(said) == 1
            assert "waits for it" in said[0]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace plays a file system without locks")
@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_where_a_file_system_has_no_locks_work_goes_on_without(tmp_path: Path, error: str) -> None:
    code = OTHER.format(how="held_together", path=str(tmp_path))
    without_locks = ["strace", "-qq", "-o", str(tmp_path / "trace"), "-e", f"inject=flock:error={error}"]
    done = subprocess.run(
        [*without_locks, sys.executable, "-c", code], input="\n", capture_output=True, text=True, check=False
    )
    assert error in (tmp_path / "trace").read_text()
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr
