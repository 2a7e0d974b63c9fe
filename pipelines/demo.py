"""`sdaie demo`: the embedded default. A simulated corpus and benchmark, the whole chain on them, the leaderboard.

What is rendered belongs to `warehouse/simulator.py`; how the chain runs, to `run.py`.
"""

import time
from collections.abc import Callable

import click

from pipelines.formats import print_rows
from pipelines.run import Say, run
from warehouse.catalogue import query
from warehouse.home import Home
from warehouse.registry import Corpus, Dataset, add_corpus, add_dataset, read_registry, set_training
from warehouse.simulator import simulate_benchmark, simulate_corpus

# A budget that learns something on two cores in minutes.
STEPS = 600

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


def _counter(say: Say, what: str) -> Callable[[int, int], None]:
    said = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal said
        if done == total or time.monotonic() - said >= 5:
            said = time.monotonic()
            say(f"  {what}: {done} of {total}")

    return count
