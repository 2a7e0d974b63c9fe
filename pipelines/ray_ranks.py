"""Training in several processes on a Ray cluster: placed there, followed and ended from here.

Here belong the actors, and what is said where they cannot be placed or one is lost. A rank is the training program
itself, `models/train.py`, the child of an actor (`rank_process`), in the environment that torchrun would give it.
`python -m pipelines.ray_ranks job.json --ranks N` runs a job as `python -m models.train job.json` does, for instance as
the entrypoint of a Ray job; `train_process` does it for an asset. The folders of a job are the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.stopping import LOST, STOPPED, TrainingStoppedError, stop_when_signalled
from models.train_config import RunConfig
from pipelines.rank_process import RankProcess, Said
from warehouse.compute_ray import code_digest, connected
from warehouse.home import UserError

PLACED_WITHIN = 60.0
"""Seconds in which the cluster has to have room for all ranks."""
ENDED_WITHIN = 12.0
"""Seconds in which ranks have to end by themselves, after one has failed or all were asked to; Dagster waits for 20."""
ANSWERED_WITHIN = 60.0
"""Seconds after which the machine of a rank counts as lost, where Ray itself has not noticed before."""
_EVERY = 0.5
_GONE = Said([], None, "")

Report = Callable[[dict[str, Any]], None]


def train_on_ray(job: Mapping[str, Any], ranks: int, address: str, report: Report, stop: Callable[[], bool]) -> None:
    """Run a job, as `models.train.run_job` takes it, in so many ranks on a Ray cluster.

    `address` is that of the cluster, or "auto"; this machine has to be one of it. Ranks are spread over its machines;
    each takes the CPUs of its threads, and a GPU where the cluster has any. UserError where they find no room, or one
    is lost or fails; TrainingStoppedError where training was asked to stop.
    """
    ray = connected(address)
    with _placed(ray, ranks, int(job["config"].get("threads", RunConfig.threads)), stop) as actors:
        _start(ray, actors, job)
        ended = _followed(ray, actors, report, stop)
    _raise_failure(ended, ranks, stop())


@contextmanager
def _placed(ray: Any, ranks: int, threads: int, stop: Callable[[], bool]) -> Iterator[list[Any]]:
    """An actor for each rank; in the end they are killed with what they have started."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    there = ray.cluster_resources()
    needed = {"CPU": float(threads)} | ({"GPU": 1.0} if there.get("GPU") else {})
    group = placement_group([needed] * ranks, strategy="SPREAD")
    actors: list[Any] = []
    try:
        deadline = time.monotonic() + PLACED_WITHIN
        while not group.wait(timeout_seconds=1):
            if stop():
                raise TrainingStoppedError("stopped before the cluster had room")
            if time.monotonic() > deadline:
                raise UserError(_no_room(ranks, needed, there))
        for number in range(ranks):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
            options = {"num_cpus": threads, "num_gpus": needed.get("GPU", 0), "scheduling_strategy": place}
            actors.append(ray.remote(RankProcess).options(**options).remote())
        yield actors
    finally:
        if actors:
            ray.wait([actor.end.remote() for actor in actors], num_returns=len(actors), timeout=2)
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)


def _no_room(ranks: int, needed: Mapping[str, float], there: Mapping[str, float]) -> str:
    wanted = ", ".join(f"{ranks * number:g} {name}s" for name, number in needed.items())
    found = ", ".join(f"{there.get(name, 0):g} {name}s" for name in needed)
    return (
        f"the cluster has no room for {ranks} ranks, which take {wanted}: it has {found}, some perhaps in use; add "
        "machines, or ask for fewer ranks"
    )


def _start(ray: Any, actors: Sequence[Any], job: Mapping[str, Any]) -> None:
    """Start the ranks; they meet on the machine of the first. UserError where a machine is lost meanwhile."""
    from ray.exceptions import RayActorError

    code = code_digest()
    try:
        others = [name for name in ray.get([actor.differs.remote(code) for actor in actors]) if name]
        if others:
            raise UserError(
                f"{', '.join(sorted(set(others)))}: another sdaie is installed there; install the same on each"
            )
        host, port = ray.get(actors[0].meeting_place.remote())
        meeting = {"MASTER_ADDR": host, "MASTER_PORT": str(port), "WORLD_SIZE": str(len(actors)), "LOCAL_RANK": "0"}
        ray.get([actor.start.remote(job, {**meeting, "RANK": str(rank)}) for rank, actor in enumerate(actors)])
    except RayActorError as error:
        raise UserError(f"a machine of the cluster was lost while training began: {error}") from None


def _followed(ray: Any, actors: Sequence[Any], report: Report, stop: Callable[[], bool]) -> dict[int, Said]:
    """The last that each rank said, `_GONE` for one whose machine was lost.

    Where one fails, or all are asked to stop, those that do not end soon are left out.
    """
    from ray.exceptions import GetTimeoutError, RayActorError

    ended: dict[int, Said] = {}
    asked, deadline = False, math.inf
    while len(ended) < len(actors) and time.monotonic() < deadline:
        time.sleep(_EVERY)
        left = [rank for rank in range(len(actors)) if rank not in ended]
        for rank, answer in [(rank, actors[rank].said.remote()) for rank in left]:
            try:
                said = ray.get(answer, timeout=ANSWERED_WITHIN)
            except (RayActorError, GetTimeoutError):
                said = _GONE
            for each in said.reports:
                report(each)
            if said.status is not None or said is _GONE:
                ended[rank] = said
        if stop() and not asked:
            asked = True
            for rank in left:
                actors[rank].signal.remote(signal.SIGTERM)
        if deadline == math.inf and (asked or any(said.status != 0 for said in ended.values())):
            deadline = time.monotonic() + ENDED_WITHIN
    return ended


def _raise_failure(ended: Mapping[int, Said], ranks: int, stopped: bool) -> None:
    """Raise what has ended the ranks, the cause before what follows from it; nothing where all came to their end."""
    if len(ended) == ranks and all(said.status == 0 for said in ended.values()):
        return
    again = "run the same job again: it goes on from its checkpoint"
    if stopped or any(said.status == STOPPED for said in ended.values()):
        stops = [said.last_words for said in ended.values() if said.status == STOPPED]
        raise TrainingStoppedError(stops[0] if stops else f"stopped before a checkpoint was written; {again}")
    for rank, said in ended.items():
        if said.status is None:
            raise UserError(f"the machine of rank {rank} was lost; {again}")
        if said.status < 0:
            raise UserError(f"rank {rank} was killed by {signal.Signals(-said.status).name}; {again}")
    failures = [said.last_words for said in ended.values() if said.status]
    # That another was lost is not why the other was.
    words = next((words for words in failures if LOST not in words), failures[0])
    print(words, file=sys.stderr)
    raise UserError(words.splitlines()[-1] if words else f"a rank failed without a word; {again}")


def main() -> None:
    """Run the job in a file on the cluster; reports and exit statuses are those of `models.train`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--address", default="auto", help="of the cluster, host:port; default: the one at hand")
    asked = parser.parse_args()
    stop = stop_when_signalled()
    job = json.loads(asked.job.read_text(encoding="utf-8"))
    try:
        train_on_ray(job, asked.ranks, asked.address, lambda report: print(json.dumps(report), flush=True), stop)
    except TrainingStoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(STOPPED)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
