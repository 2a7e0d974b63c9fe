"""Sockets in the file system: their paths have an end, which the folder for temporary files may come near.

Here belong where they lie, and the fork server, on whose socket Python asks for worker processes.
"""

import multiprocessing
import os
import tempfile
from multiprocessing.context import ForkServerContext
from multiprocessing.util import get_temp_dir

_LONGEST_FOLDER = 60
"""Bytes; Python appends some 32 for its fork server, and a path takes 104 (macOS) or 108 (Linux)."""
_SHORT_FOLDER = "/tmp"


def folder_for_sockets() -> str:
    """The folder for temporary files, or a shorter one where a path in it would be too long."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= _LONGEST_FOLDER else _SHORT_FOLDER


def fork_server() -> ForkServerContext:
    """The context of processes forked from a server, which does not hold locks of the threads of polars and torch."""
    # Python makes the folder of its sockets once in a process, and asks tempfile where.
    asked, tempfile.tempdir = tempfile.tempdir, folder_for_sockets()
    try:
        get_temp_dir()
    finally:
        tempfile.tempdir = asked
    return multiprocessing.get_context("forkserver")
