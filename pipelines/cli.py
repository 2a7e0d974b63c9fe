"""The command `sdaie`: corpus, benchmark, detector, backbone, run, status, promote, rollback, detect, query and more.

Parsing words and printing answers belong here, with the exit codes scripts rely on: 0 done, 1 something asked for could
not be done, 2 wrong usage. A user's mistake is one line, never a traceback. What the commands do belongs to the rooms
they call; each imports what it needs, so that a question is not kept waiting for what it does not use.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pipelines.cli_calibrate import calibrate
from pipelines.cli_clean import clean
from pipelines.cli_detect import detect
from pipelines.cli_measured import benchmark, detector
from pipelines.cli_options import home_option, say
from pipelines.cli_status import status
from warehouse.home import Home, UserError

GROUPS = ("corpus", "exif", "training", "detection", "benchmark", "promotion", "publication")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@home_option
@click.version_option(package_name="sdaie")
def cli() -> None:
    """Tell camera photographs from AI-generated images by what cameras do."""


@cli.group()
def corpus() -> None:
    """Register photographs to learn from."""


@corpus.command("add")
@home_option
@click.argument("name")
@click.argument("source")
@click.option("--group", help="Column of the table whose values are held out together, such as the photographer.")
@click.option(
    "--use",
    multiple=True,
    type=click.Choice(["train", "reference"]),
    help="train the backbone on it, or fit detectors on it as reference; repeat for both (the default).",
)
@click.pass_obj
def corpus_add(home: Home, name: str, source: str, group: str | None, use: Sequence[str]) -> None:
    """Register SOURCE as corpus NAME.

    SOURCE is one of:

    \b
      a folder, an address (s3://, gs://, any other of fsspec's) or the index page of a folder on the web;
      a table (.csv, .parquet) with a column file, uri or url of files beside it or addresses;
      tar shards of pictures, as 'photos-{000..099}.tar' or 'photos/*.tar'.
    """
    from warehouse.addresses import is_address
    from warehouse.registry import Corpus, add_corpus, read_registry, resolve
    from warehouse.sources import open_source

    entry = Corpus.model_validate({"source": source, "group": group, "use": list(use) or ["train", "reference"]})
    place = source if is_address(source) else resolve(Home(Path.cwd()), source)
    listed = open_source(place, corpus=name, group=group, network=read_registry(home).network).listing()
    add_corpus(home, name, entry)
    shards = sum(item.is_container for item in listed)
    groups = len({item.group for item in listed})
    found = f"{shards} tar shards" if shards else f"{len(listed)} files in {groups} groups"
    unknown = sum(item.size is None for item in listed)
    missing = f", {unknown} of unknown size or not to be had now" if unknown else ""
    say(f"corpus {name}: {found}{missing}; `sdaie run` reads them")


cli.add_command(benchmark)
cli.add_command(detector)
cli.add_command(calibrate)
cli.add_command(clean)
cli.add_command(detect)
cli.add_command(status)


@cli.group()
def backbone() -> None:
    """Use a backbone that was trained elsewhere."""


@backbone.command("import")
@home_option
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backbone_import(home: Home, file: Path) -> None:
    """Import a published PyTorch checkpoint FILE (backbone or binary detector) and use its backbone from now on."""
    from assets.imports import import_backbone

    imported = import_backbone(home, file)
    say(f"{imported.kind}: backbone {imported.identity}, {imported.parameters:,} parameters, now in use; `sdaie run`")


@backbone.command("list")
@home_option
@click.pass_obj
def backbone_list(home: Home) -> None:
    """List the backbones of this home; * marks the one in use."""
    from assets.imports import list_backbones

    for kept in list_backbones(home):
        click.echo(
            f"{'*' if kept.in_use else ' '} {kept.identity}  {kept.origin:9}  {kept.preset:7}  {kept.learned_from}"
        )


@backbone.command("use")
@home_option
@click.argument("identity", metavar="trained|ID")
@click.pass_obj
def backbone_use(home: Home, identity: str) -> None:
    """Use the imported backbone ID from now on, or `trained`, the one this home trains."""
    from assets.imports import use_backbone

    use_backbone(home, identity)
    say(f"backbone {identity} is in use; `sdaie run` brings everything after it up to date")


@cli.command()
@home_option
@click.option("--only", "group", type=click.Choice(GROUPS), help="Run the stages of one group.")
@click.option("--force", is_flag=True, help="Make everything anew though it is current.")
@click.pass_obj
def run(home: Home, group: str | None, force: bool) -> None:
    """Bring everything registered up to date: read, train, fit, evaluate, publish."""
    from pipelines.run import run as run_chain

    if run_chain(home, say, groups=None if group is None else [group], force=force):
        published = [str(path) for path in (home.report, home.catalogue) if path.exists()]
        say(f"done{': ' if published else ''}{' and '.join(published)}")
    else:
        say("nothing to do: everything registered is up to date")


@cli.command()
@home_option
@click.argument("identity", metavar="ID")
@click.pass_obj
def promote(home: Home, identity: str) -> None:
    """Let the detector ID answer from now on, whatever the gates say of it; the first letters do."""
    from assets.champions import promote as promote_by_hand

    made = promote_by_hand(home, identity)
    say(f"{made.champion} answers from now on, after {made.champion_before or 'nobody'}; `sdaie run` publishes it")


@cli.command()
@home_option
@click.pass_obj
def rollback(home: Home) -> None:
    """Let the champion before this one answer again; the pipeline does not promote this one again by itself."""
    from assets.champions import roll_back

    made = roll_back(home)
    say(f"{made.champion} answers again, after {made.champion_before}; `sdaie run` publishes it")


@cli.command()
@home_option
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.pass_obj
def query(home: Home, query: str | None, form: str) -> None:
    """Run a ready query or SQL on the catalogue (read-only); without QUERY list the ready ones."""
    from pipelines.formats import print_rows
    from warehouse.catalogue import query as ask
    from warehouse.catalogue import ready_queries

    if query is None:
        ready = ready_queries()
        width = max(map(len, ready))
        for name, description in ready.items():
            click.echo(f"{name:{width}}  {description}")
        return
    result = ask(home, query)
    click.echo(print_rows(result.columns, result.rows, form), nl=False)


@cli.command()
@home_option
@click.pass_obj
def demo(home: Home) -> None:
    """Render a simulated corpus and benchmark, run the whole chain on them, and show the leaderboard."""
    from pipelines.demo import demo as run_demo

    run_demo(home, say)


@cli.command()
@home_option
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port to serve at.")
@click.pass_obj
def ui(home: Home, port: int) -> None:
    """Serve the Dagster UI of this home on the loopback address, until Ctrl-C."""
    from pipelines.ui import serve

    serve(home, port, say)


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 1, wrong usage exit code 2."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # So a shell starts what it runs in the background, and Dagster has SIGTERM do what SIGINT does: nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UserError as error:
        say(f"sdaie: {error}")
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        say("sdaie: stopped; run it again to go on")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
