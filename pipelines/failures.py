"""The sensor that writes down which runs failed, and why, where a person or a script finds it without Dagster.

When it looks belongs here. What failed in a run is asked in `history.py`; the file is `warehouse/failures.py`'s.
"""

import dagster as dg

from pipelines.history import failed_run
from warehouse.failures import add_failure
from warehouse.home import Home


# `sdaie run` starts runs that belong to no code location; an instance of a home has none but ours.
@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a line to failures.jsonl in the home for each run that failed, with the reasons.",
    monitor_all_code_locations=True,
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Write the run down, unless an earlier look did."""
    add_failure(Home.find().failures, failed_run(context.instance, context.dagster_run.run_id))
