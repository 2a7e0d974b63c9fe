"""The sensor that keeps Dagster's partitions those that `sdaie.toml` registers."""

import dagster as dg

from assets.partitions import synchronise
from warehouse.home import Home, UserError


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for each registered corpus and each generator of a benchmark set.",
    jobs=[],
)
def registered_partitions(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Follow the registry; starts no run."""
    try:
        synchronise(Home.find(), context.instance)
    except UserError as error:
        return dg.SkipReason(str(error))
    return dg.SkipReason("partitions follow the registry")
