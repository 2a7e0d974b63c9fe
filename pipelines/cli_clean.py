"""The command `sdaie clean`: remove from the home what nobody needs any more.

Its words and what it prints belong here; what is removed belongs to `assets/cleaning.py`, the lock to `cleaning.py`.
"""

import click

from pipelines.cli_options import home_option, say
from warehouse.home import Home


@click.command()
@home_option
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def clean(home: Home, dry_run: bool) -> None:
    """Remove old detectors, weights and table files that nothing needs any more.

    Kept is what the tables, the catalogue and the one before it name, imported backbones, and as many of the last
    champions, and of each kind, as [retrain] keep in sdaie.toml says. Nothing younger than a day goes.
    """
    from pipelines.cleaning import clean as clean_home
    from pipelines.cleaning import in_words

    went = clean_home(home, dry_run=dry_run)
    for removed in went:
        click.echo(in_words(removed))
    total = sum(removed.bytes for removed in went) / 1e6
    if not went:
        say("nothing to remove")
    else:
        say(f"{total:,.1f} MB would be removed" if dry_run else f"{total:,.1f} MB removed")
