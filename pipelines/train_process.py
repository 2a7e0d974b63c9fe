"""The process that trains: opens Dagster Pipes and runs the training program.

Here belong the process's own matters: the job it is handed, its end with its parent's, what a person reads of it. The
training itself is in `models.train`, which knows nothing of Dagster; its processes on a cluster are in `ray_ranks`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from dagster_pipes import open_dagster_pipes

from models.stopping import PARENT_VARIABLE, STOPPED, TrainingStoppedError, end_with_parent, stop_when_signalled
from pipelines.ray_ranks import train_on_ray
from warehouse.home import UserError

CLUSTER = "cluster"
"""What a job is to be trained by, where that is not this process alone: how many `ranks` at which `address`."""


def line(progress: Mapping[str, Any]) -> str:
    """One line a person can read of what the training program reports."""
    if progress["event"] == "progress":
        # Of the pretext task there are 14 parts; who wants them finds them in the metrics.
        parts = progress["losses"] if "cross_entropy" in progress["losses"] else {}
        said = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in parts.items())
        return (
            f"step {progress['step']} of {progress['steps']}, loss {progress['loss']:.2f}{said and f' ({said})'}, "
            f"{progress['patches_per_second']:.0f} patches/s, about {progress['seconds_left']} s left"
        )
    if progress["event"] == "validation" and "cross_entropy" in progress:
        return (
            f"step {progress['step']}: validation accuracy {progress['accuracy']:.3f}, cross-entropy "
            f"{progress['cross_entropy']:.3f}, waited for data {progress['waited']:.1%} of the time"
        )
    if progress["event"] == "validation" and "psnr" in progress:
        return f"step {progress['step']}: mean peak signal-to-noise ratio {progress['score']:.1f} dB"
    if progress["event"] == "validation" and "nats" in progress:
        return f"step {progress['step']}: {progress['nats']:.4f} nats a coefficient on photographs of held-out sources"
    if progress["event"] == "validation" and "auroc" in progress:
        return f"step {progress['step']}: AUROC {progress['score']:.3f} on reconstructions of held-out makes"
    if progress["event"] == "validation":
        return (
            f"step {progress['step']}: validation gain over knowing nothing {progress['score']:+.3f}, "
            f"waited for data {progress['waited']:.1%} of the time"
        )
    if progress["event"] == "continued":
        return f"goes on from the checkpoint of step {progress['step']}"
    if progress["event"] == "checkpoint_not_written":
        return f"step {progress['step']}: no checkpoint, training goes on: {progress['message']}"
    if "message" in progress:
        return f"a checkpoint is not used: {progress['message']}"
    return (
        f"finished after {progress['step']} steps; kept the weights of step {progress['best_step']}; "
        f"{progress['patches_per_second']:.0f} patches/s, waited for data {progress['waited']:.1%} of the time"
    )


def main() -> None:
    """Run the job in Pipes' extras, see `models.train.run_job`, where it names a cluster, there."""
    stop = stop_when_signalled()
    end_with_parent(int(os.environ.get(PARENT_VARIABLE, os.getppid())))
    # torch takes seconds to import: the guard is set before.
    from models.ranks import joined_ranks
    from models.train import PLAIN_ERRORS, run_job

    with open_dagster_pipes() as pipes:

        def report(progress: dict[str, Any]) -> None:
            pipes.log.info(line(progress))

        job = pipes.extras
        try:
            if CLUSTER in job:
                train_on_ray(job, job[CLUSTER]["ranks"], job[CLUSTER]["address"], report, stop)
            else:
                with joined_ranks() as ranks:
                    run_job(job, report, stop, ranks)
        except TrainingStoppedError as stopped:
            pipes.log.warning(str(stopped))
            sys.exit(STOPPED)
        except (*PLAIN_ERRORS, UserError) as error:
            # What a person can mend: the asset fails with this sentence instead of an exit code.
            pipes.report_custom_message({"error": str(error)})


if __name__ == "__main__":
    main()
