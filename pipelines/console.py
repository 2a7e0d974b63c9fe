"""How a run speaks on a terminal: one line for what a stage says, none for Dagster's own events."""

import logging
import sys

import dagster as dg

_DAGSTERS_OWN = ("[pipes]", "Dependencies for step")


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        said = str(meta.get("orig_message"))
        if meta.get("dagster_event") is None and not said.startswith(_DAGSTERS_OWN):
            print(f"  {meta.get('step_key') or 'sdaie'}: {said}", file=sys.stderr, flush=True)


@dg.logger(config_schema={}, description="What the stages say, one line each.")
def console(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Make the logger of `sdaie run`."""
    logger = logging.Logger("sdaie", level=logging.INFO)
    logger.addHandler(_Lines())
    return logger
