"""The history of failed runs, `failures.jsonl` in the home: one line of JSON for each.

What a line holds and that no run has two belong here; what failed in a run, and why, is asked in
`pipelines/history.py`. It is a history and no table, so it holds times of day.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from warehouse.line_file import opened


@dataclass(frozen=True)
class Reason:
    """Why a run failed: the step, None where it failed outside of any, and one line a person should read."""

    step: str | None
    reason: str


@dataclass(frozen=True)
class FailedRun:
    """One run that failed. `when` is UTC, ISO 8601 to the second.

    `part_of`: the run of the job that started it as one of its parts, which may have failed with it. `refused`: nothing
    failed but what a challenger was asked, so the champion answers as before.
    """

    when: str
    run: str
    job: str
    partition: str | None
    part_of: str | None
    refused: bool
    reasons: Sequence[Reason]


def add_failure(path: Path, failed: FailedRun) -> bool:
    """Write a run behind the others; False where it stands there already. Raises UserError where it cannot be written.

    What a kill left half written at the end is cut off first. One process writes at a time.
    """
    with opened(path) as lines:
        lines.cut_off_rest()
        if failed.run in (_run_of(line) for line in lines.whole.splitlines()):
            return False
        lines.append(json.dumps(asdict(failed), ensure_ascii=False).encode() + b"\n")
    return True


def _run_of(line: bytes) -> object:
    try:
        return json.loads(line)["run"]
    except (ValueError, KeyError, TypeError):
        return None  # a line that somebody damaged stands for no run
