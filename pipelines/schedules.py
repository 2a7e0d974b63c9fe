"""When retraining starts by itself: as `[retrain]` of `sdaie.toml` says."""

import dagster as dg

from pipelines.instance import UNFINISHED
from pipelines.jobs import RETRAIN
from warehouse.registry import Retrain


def retrain_weekly(retrain: Retrain) -> dg.ScheduleDefinition:
    """The schedule of the job `retrain`. It is on where the registry says so and nobody switched it by hand."""

    @dg.schedule(
        name="retrain_weekly",
        job_name=RETRAIN,
        cron_schedule=retrain.cron,
        execution_timezone=retrain.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if retrain.enabled else dg.DefaultScheduleStatus.STOPPED,
        description="Ingest, train, evaluate, promote or refuse, publish. Time and zone: [retrain] in sdaie.toml.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        unfinished = dg.RunsFilter(job_name=RETRAIN, statuses=[dg.DagsterRunStatus.QUEUED, *UNFINISHED])
        for run in context.instance.get_runs(unfinished, limit=1):
            return dg.SkipReason(f"the retraining of run {run.run_id} is not finished")
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())

    return schedule
