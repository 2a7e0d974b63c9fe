"""The commands `sdaie benchmark` and `sdaie detector`: what is measured on, under what, and who is measured.

Parsing words and printing answers belong here. What a set is belongs to `warehouse/benchmark_layouts.py`, what is
registered to `warehouse/registry.py`.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import click

from pipelines.cli_options import home_option, say
from warehouse.home import Home, UserError

Grid = Literal["none", "default", "whole"]


@click.group()
def benchmark() -> None:
    """Register images to be measured on."""


@benchmark.command("add")
@home_option
@click.argument("name")
@click.argument("source")
@click.option(
    "--use",
    multiple=True,
    type=click.Choice(["evaluate", "train"]),
    help="score it (the default), or train the binary detector on it; repeat for both.",
)
@click.option("--wild", is_flag=True, help="Collected from the open web: as shipped it is reported apart.")
@click.option("--gate", is_flag=True, help="Refuse a new detector that does worse on it than the best champion.")
@click.pass_obj
def benchmark_add(home: Home, name: str, source: str, use: Sequence[str], wild: bool, gate: bool) -> None:
    """Register SOURCE as benchmark set NAME.

    SOURCE is a table (file, label, generator), a JSON list of {"path", "label"}, or a folder of
    <generator>/**/{0_real,1_fake} (AIGCDetectBenchmark) or <generator>/**/{train,val}/{nature,ai} (GenImage, of which
    `val` is taken where there is one).
    """
    from pipelines.instance import open_instance
    from warehouse.benchmark_sets import read_set
    from warehouse.registry import Dataset, add_dataset, resolve

    found = read_set(resolve(Home(Path.cwd()), source))
    uses = list(dict.fromkeys(use)) or ["evaluate"]
    add_dataset(home, name, Dataset.model_validate({"source": source, "use": uses, "wild": wild, "gate": gate}))
    # Opening makes the partitions, so that a UI that is running shows them at once. Another set that cannot be listed
    # now is no matter of this one.
    with suppress(UserError), open_instance(home):
        pass
    generated = Counter(image.generator for image in found.images if image.label)
    which = f" ({', '.join(f'{generator} {count}' for generator, count in sorted(generated.items()))})"
    will = {"evaluate": "scores them", "train": "trains the binary detector on them"}
    say(
        f"benchmark {name}: layout {found.layout}; {len(found.images) - generated.total()} photographs, "
        f"{generated.total()} images of {len(generated)} generators{which if generated else ''}; "
        f"`sdaie run` {' and '.join(will[word] for word in uses)}"
    )
    if gate:
        say(f"benchmark {name}: a new detector that does worse on it is refused")
    for note in found.notes:
        say(f"benchmark {name}: {note}")


@benchmark.command("list")
@home_option
@click.pass_obj
def benchmark_list(home: Home) -> None:
    """List the registered sets: layout, numbers of images, generators, uses."""
    from pipelines.formats import print_rows
    from warehouse.benchmark_sets import read_set
    from warehouse.registry import read_registry, resolve

    columns = ["name", "source", "layout", "photographs", "generated", "generators", "use"]
    rows: list[list[object]] = []
    unread = []
    for name, dataset in read_registry(home).datasets.items():
        use = "+".join([*dataset.use, *(["wild"] if dataset.wild else []), *(["gate"] if dataset.gate else [])])
        try:
            found = read_set(resolve(home, dataset.source))
        except UserError as error:
            unread.append(f"{name}: {error}")
            rows.append([name, dataset.source, None, None, None, None, use])
            continue
        generated = {image.generator for image in found.images if image.label}
        labels = Counter(image.label for image in found.images)
        rows.append([name, dataset.source, found.layout, labels[0], labels[1], len(generated), use])
    click.echo(print_rows(columns, rows, "table"), nl=False)
    if unread:
        raise UserError("; ".join(unread))


@benchmark.command("grid")
@home_option
@click.argument("grid", required=False, type=click.Choice(["none", "default", "whole"]))
@click.pass_obj
def benchmark_grid(home: Home, grid: Grid | None) -> None:
    """Show which grid of perturbations benchmark images are judged under, or choose GRID."""
    from warehouse.registry import read_registry, set_grid

    if grid is None:
        click.echo(read_registry(home).evaluation.grid)
        return
    set_grid(home, grid)
    say(f"grid {grid}; `sdaie run` brings the benchmark up to date")


@click.group()
def detector() -> None:
    """Register detectors of others, to be measured beside ours."""


@detector.command("add")
@home_option
@click.argument("name")
@click.option("--class", "class_", metavar="MODULE:CLASS", help="A class of the interface in models/detector.py.")
@click.option("--scores", metavar="FILE", help="A table (CSV or Parquet) with the columns file and score.")
@click.pass_obj
def detector_add(home: Home, name: str, class_: str | None, scores: str | None) -> None:
    """Register the detector NAME: a class that scores images, or a table of its scores."""
    from warehouse.registry import add_detector, resolve
    from warehouse.source_table import read_table

    if (class_ is None) == (scores is None):
        raise click.UsageError("name either --class MODULE:CLASS or --scores FILE")
    if scores is not None and "score" not in read_table(resolve(Home(Path.cwd()), scores)).columns:
        raise UserError(f"{scores}: a table of scores needs a column 'score'")
    add_detector(home, name, class_=class_, scores=scores)
    say(f"detector {name}: {class_ or scores}; `sdaie run` measures it")


@detector.command("list")
@home_option
@click.pass_obj
def detector_list(home: Home) -> None:
    """List the registered detectors of others."""
    from pipelines.formats import print_rows
    from warehouse.registry import read_registry

    rows = [
        [name, "scores" if other.scores else "class", other.scores or other.class_]
        for name, other in read_registry(home).detectors.items()
    ]
    click.echo(print_rows(["name", "kind", "where"], rows, "table"), nl=False)


@detector.command("remove")
@home_option
@click.argument("name")
@click.pass_obj
def detector_remove(home: Home, name: str) -> None:
    """Take the detector NAME out; its scores leave the report with the next run."""
    from warehouse.registry import remove_detector

    remove_detector(home, name)
    say(f"detector {name} is no longer registered; `sdaie run` brings the benchmark up to date")
