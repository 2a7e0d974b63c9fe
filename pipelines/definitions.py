"""The one assembly point: what Dagster loads. Nothing is computed here, and torch is not loaded."""

import dagster as dg

from assets.chain import EXTERNAL, STAGES
from assets.checks import CHECKS
from assets.stage import to_asset
from pipelines.cleaning import clean_up
from pipelines.console import console
from pipelines.failures import failed_runs
from pipelines.jobs import JOBS
from pipelines.schedules import retrain_weekly
from pipelines.sensors import eager, new_files, registered_partitions
from pipelines.setup_jobs import SETUP_JOBS
from warehouse.home import Home, UserError
from warehouse.registry import Registry, read_registry
from warehouse.sockets import fork_server


def build_definitions() -> dg.Definitions:
    """Fresh definitions of the whole pipeline."""
    fork_server()  # found by Dagster's executor: it makes one of its own, as Python would
    return dg.Definitions(
        assets=[*(to_asset(stage) for stage in STAGES), *EXTERNAL],
        asset_checks=CHECKS,
        jobs=[*JOBS, clean_up, *SETUP_JOBS],
        schedules=[retrain_weekly(_registry().retrain)],
        sensors=[registered_partitions, new_files, failed_runs, eager],
        loggers={"console": console},
        executor=dg.multiprocess_executor.configured(
            # A fork server that has loaded the pipeline once starts a step in a fraction of a second.
            {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": ["pipelines.definitions"]}}}
        ),
    )


def _registry() -> Registry:
    """What is registered in the home; nothing where there is no home to be found yet."""
    try:
        home = Home.find()
    except UserError:
        return Registry()
    return read_registry(home)


defs = build_definitions()
