"""`sdaie ui` as a running program: its address, the runs of its home, and how a test asks for one."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from benchmarks.services import free_port
from warehouse.home import Home

T = TypeVar("T")
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation($runId: String!) { terminateRun(runId: $runId) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""


class Served:
    """A home whose web server and daemon are at work."""

    def __init__(self, home: Home, port: int) -> None:
        self.home, self.port = home, port

    def submit(self, job: str, run_config: dict[str, Any] | None = None) -> str:
        """Put a run of a job into the queue, as the Launchpad does; its identity."""
        selector = {"repositoryLocationName": "sdaie", "repositoryName": "__repository__", "jobName": job}
        params = {"selector": selector, "mode": "default", "runConfigData": run_config or {}}
        launched = self._asked(LAUNCH, {"params": params})["launchRun"]
        assert "run" in launched, launched
        return str(launched["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Cancel a run, as its page does."""
        said = self._asked(TERMINATE, {"runId": run_id})["terminateRun"]
        assert said["__typename"] == "TerminateRunSuccess", said

    def _asked(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        url, headers = f"http://127.0.0.1:{self.port}/graphql", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def runs(self, job: str | None = None) -> list[dg.DagsterRun]:
        """Runs of a job, or all, the newest first."""
        with dg.DagsterInstance.from_config(str(self.home.dagster)) as instance:
            return list(instance.get_runs(dg.RunsFilter(job_name=job)))

    def ended(self, run_id: str, seconds: float = 240) -> dg.DagsterRunStatus:
        """How a run ended."""
        return wait_for(lambda: next(r.status for r in self.runs() if r.run_id == run_id and r.is_finished), seconds)


def wait_for(ask: Callable[[], T], seconds: float) -> T:
    """The first answer that is true; an answer may also fail to be there yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except StopIteration:
            pass
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.5)


def clean_environment() -> dict[str, str]:
    """The environment without a home of somebody's."""
    return {key: value for key, value in os.environ.items() if key not in ("SDAIE_HOME", "DAGSTER_HOME")}


@contextmanager
def served(home: Home) -> Iterator[Served]:
    """Start `sdaie ui` on a home; in the end Ctrl-C, after which nothing of it is left."""
    port = free_port()
    program = str(Path(sys.executable).with_name("sdaie"))
    process = subprocess.Popen(
        [program, "--home", str(home.path), "ui", "--port", str(port)],
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        yield Served(home, port)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
