"""`sdaie demo`: the embedded default. A simulated corpus and benchmark, the whole chain on them, the leaderboard.

What is rendered belongs to `warehouse/simulator.py`; how the chain runs, to `run.py`.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click

from pipelines.formats import print_rows
from pipelines.run import Say, run
from warehouse.catalogue import query
from warehouse.home import Home
from warehouse.registry import (
    Corpus,
    Dataset,
    add_corpus,
    add_dataset,
    read_registry,
    set_coding,
    set_reconstruction,
    set_training,
)
from warehouse.simulator import simulate_benchmark, simulate_corpus

# Budgets that learn something on two cores in minutes.
STEPS, AUTOENCODER_STEPS, RECONSTRUCTION_STEPS, CODING_STEPS = 600, 180, 150, 200

LEADERBOARD = """
SELECT detector, auroc, auroc_low, auroc_high, average_precision, accuracy_real, accuracy_fake
FROM leaderboard WHERE dataset = 'simulated' AND track = 'format_matched'
"""


def demo(home: Home, say: Say) -> None:
    """Render, register, run and show. A second call on the same home renders and runs only what is missing."""
    started = time.monotonic()
    corpus, benchmark = home.simulated / "corpus", home.simulated / "benchmark"
    simulate_corpus(corpus, progress=_counter(say, "rendered photographs"))
    simulate_benchmark(benchmark, progress=_counter(say, "rendered benchmark images"))
    registry = read_registry(home)
    if "simulated" not in registry.corpora:
        add_corpus(home, "simulated", Corpus(source=str(corpus)))
        if registry.training.steps is None:
            set_training(home, steps=STEPS)
            set_reconstruction(home, autoencoder_steps=AUTOENCODER_STEPS, steps=RECONSTRUCTION_STEPS)
            set_coding(home, steps=CODING_STEPS)
    if "simulated" not in registry.datasets:
        add_dataset(home, "simulated", Dataset(source=str(benchmark)))
    run(home, say)
    result = query(home, LEADERBOARD)
    click.echo(
        f"\nLeaderboard, track format_matched (simulated pictures; {time.monotonic() - started:.0f} s in all):\n"
    )
    click.echo(print_rows(result.columns, result.rows, "table"))
    click.echo(f"report     {home.report}\ncatalogue  {home.catalogue}")
    click.echo("These numbers are of rendered pictures: they show that the chain works, not how it does on real ones.")
    _boxed(home)
    click.echo(f"\nThe report is {home.report}; {time.monotonic() - started:.0f} s in all.")


def _boxed(home: Home) -> None:
    """What the detector in the box says of rendered pictures, and of photographs that scikit-learn ships."""
    from assets.detection import boxed, detect

    rendered = [min(folder.glob("*.jpg")) for folder in sorted((home.simulated / "benchmark").glob("*/*/"))]
    package = find_spec("sklearn")
    shipped = [] if package is None or package.origin is None else [*Path(package.origin).parent.rglob("images/*.jpg")]
    files = [*rendered[:4], *sorted(shipped)]
    click.echo(
        "\nThe detector in the package, which has seen real photographs, says of rendered pictures and of real ones:\n"
    )
    for answered in detect(boxed(), files):
        answer = answered.answer
        p_value = "" if answer.p_value is None else f"p-value {answer.p_value:.3f}"
        name = "/".join(Path(answer.file).parts[-3:])
        click.echo(f"  {name:32}  {answer.verdict:11}  {p_value}  {answer.reason or ''}".rstrip())


def _counter(say: Say, what: str) -> Callable[[int, int], None]:
    said = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal said
        if done == total or time.monotonic() - said >= 5:
            said = time.monotonic()
            say(f"  {what}: {done} of {total}")

    return count
