"""What every command of `sdaie` shares: the option that names the home, and the way to speak to a person."""

import os
from pathlib import Path

import click

from warehouse.home import Home


def say(message: str) -> None:
    """Speak beside the answer, which alone goes to the standard output."""
    click.echo(message, err=True)


def _choose_home(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    if value is not None or context.obj is None:
        context.obj = Home.find(value)
        # Processes that Dagster starts find the same home.
        os.environ["SDAIE_HOME"] = str(context.obj.path)


# Taken before the command and after it: people type both.
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_choose_home,
    expose_value=False,
    help="Folder of this archive's tables, weights and report (else SDAIE_HOME, else data/ beside workspace.yaml).",
)
