"""What the UI of a home costs: `sdaie ui` against `dagster dev`, and a retraining with nothing to do.

    python -m benchmarks.services HOME [--repeats 3]

HOME is one that is up to date. Each repeat starts one after the other on it: seconds until the web server answers, and
the memory of all processes together, ten seconds after that (PSS: what is shared counts once). Then `sdaie ui` runs the
job `retrain`, which finds nothing to do: seconds from its submission to its end, the queue included. Medians of the
repeats. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient

from warehouse.home import PROJECT, Home

_IDLE_SECONDS = 10
_READY_SECONDS = 90


def free_port() -> int:
    """A port of the loopback address that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    words: Sequence[str], environment: Mapping[str, str], port: int, cwd: Path | None = None
) -> Iterator[tuple[int, float]]:
    """A command that serves the UI: its process, and the seconds until it answered; it is interrupted in the end.

    Raises RuntimeError where it ends by itself or does not answer in time.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        words, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{words[0]} ended with {process.returncode}") from None
                if time.monotonic() - started > _READY_SECONDS:
                    raise RuntimeError(f"{words[0]} does not answer") from None
                time.sleep(0.05)
        yield process.pid, time.monotonic() - started
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def descendants(process: int) -> list[int]:
    """A process and all that it and its children started."""
    found = [process]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def memory(processes: Sequence[int]) -> float:
    """MB of processes together, what is shared counted once (PSS)."""
    total = 0
    for each in processes:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def nothing_to_do(port: int) -> float:
    """Seconds from the submission of `retrain` to its end."""
    client = DagsterGraphQLClient("127.0.0.1", port_number=port)
    started = time.monotonic()
    run = client.submit_job_execution("retrain")
    while client.get_run_status(run) not in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE):
        time.sleep(0.1)
    return time.monotonic() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    home = Home(asked.home.resolve())
    programs = Path(sys.executable).parent
    environment = os.environ | {"SDAIE_HOME": str(home.path), "DAGSTER_HOME": str(home.dagster)}
    found: dict[str, list[float]] = {}
    for repeat in range(asked.repeats):
        port = str(free_port())
        commands = {
            "dagster_dev": ["dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-h", "127.0.0.1", "-p", port],
            "sdaie_ui": ["sdaie", "ui", "--port", port],
        }
        for name, (program, *words) in commands.items():
            with served([str(programs / program), *words], environment, int(port)) as (process, seconds):
                time.sleep(_IDLE_SECONDS)
                used = memory(descendants(process))
                numbers = {f"{name}_ready_s": seconds, f"{name}_mb": used}
                if name == "sdaie_ui":
                    numbers["retrain_s"] = nothing_to_do(int(port))
            for what, number in numbers.items():
                found.setdefault(what, []).append(number)
        print(f"repeat {repeat + 1} of {asked.repeats}", file=sys.stderr)
    medians = {name: round(statistics.median(numbers), 2) for name, numbers in found.items()}
    ratios = {
        "ready_ratio": round(medians["dagster_dev_ready_s"] / medians["sdaie_ui_ready_s"], 2),
        "memory_ratio": round(medians["dagster_dev_mb"] / medians["sdaie_ui_mb"], 2),
    }
    print(json.dumps(ratios | medians))


if __name__ == "__main__":
    main()
