"""Workers start wherever temporary files are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, tempfile
from warehouse.sockets import fork_server
process = fork_server().Process(target=sys.exit, args=(7,))
process.start()
process.join()
print(process.exitcode, tempfile.gettempdir())
"""


@pytest.mark.parametrize("depth", [1, 10])
def test_a_process_starts_however_deep_the_folder_of_temporary_files_is(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["temporary"] * depth)
    folder.mkdir(parents=True)
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"7 {folder}\n"), done.stderr
