"""The one assembly point: what Dagster loads. Nothing is computed here, and torch is not loaded."""

import dagster as dg

from assets.chain import EXTERNAL, STAGES
from assets.checks import CHECKS
from assets.stage import to_asset
from pipelines.console import console
from pipelines.jobs import JOBS
from pipelines.sensors import registered_partitions


def build_definitions() -> dg.Definitions:
    """Fresh definitions of the whole pipeline."""
    return dg.Definitions(
        assets=[*(to_asset(stage) for stage in STAGES), *EXTERNAL],
        asset_checks=CHECKS,
        jobs=JOBS,
        sensors=[registered_partitions],
        loggers={"console": console},
        executor=dg.multiprocess_executor.configured(
            # A fork server that has loaded the pipeline once starts a step in a fraction of a second.
            {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": ["pipelines.definitions"]}}}
        ),
    )


defs = build_definitions()
