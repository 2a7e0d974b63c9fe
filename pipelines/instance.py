"""The Dagster instance of a home: its folder, its settings, its partitions."""

from pathlib import Path

import dagster as dg

from assets.partitions import synchronise
from warehouse.home import Home, write_text

SETTINGS = Path(__file__).with_name("dagster.yaml")


def prepare(home: Home) -> Path:
    """Make the instance's folder with the settings that ship with sdaie; a person's own settings stay."""
    settings = home.dagster / "dagster.yaml"
    if not settings.exists():
        write_text(settings, SETTINGS.read_text(encoding="utf-8"))
    return home.dagster


def open_instance(home: Home) -> dg.DagsterInstance:
    """The instance of the home, with a partition for everything registered. Use as a context manager."""
    instance = dg.DagsterInstance.from_config(str(prepare(home)))
    synchronise(home, instance)
    return instance
