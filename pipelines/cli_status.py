"""The command `sdaie status`: how a home stands, on one screen or as one JSON object.

Printing belongs here, and putting together what `assets/status.py` and `history.py` found. It changes nothing and needs
no catalogue.
"""

import gc
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import click

from pipelines.cli_options import home_option
from warehouse.home import Home, UserError

RUNS = 5
_WIDTH = 110


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show how things stand: what was read, who answers, the last runs and why they failed, what is due."""
    from warehouse.registry import read_registry

    registry = read_registry(home)
    if not registry.corpora and not registry.datasets and not as_json:
        click.echo(f"nothing is registered in {home.path}: `sdaie corpus add NAME SOURCE` first, or `make demo`")
        return
    # Nearly all of the time goes into loading Dagster, a sixth of it into looking for garbage in what was loaded.
    gc.disable()
    try:
        facts = gathered(home)
    finally:
        gc.enable()
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else "\n".join(_lines(facts)))


def gathered(home: Home) -> dict[str, Any]:
    """All facts, as JSON values. Raises UserError where the registry or the champion's pointer is damaged."""
    from assets import status as tables
    from pipelines.history import recent_runs

    number, reasons = tables.quarantine(home)
    corpora = tables.corpora(home)
    due, unknown = [], None
    if corpora:  # without one `sdaie run` makes nothing
        try:
            due = [asdict(each) for each in tables.due(home)]
        except UserError as error:
            unknown = str(error)
    return {
        "corpora": corpora,
        "benchmark_sets": tables.benchmark_sets(home),
        "rows": tables.rows(home),
        "quarantine": {"files": number, "reasons": reasons},
        "champion": tables.champion(home),
        "refused": tables.last_refusal(home),
        "runs": [asdict(run) for run in recent_runs(home, RUNS)],
        "due": due,
        "due_unknown": unknown,
        "drift": tables.drift(home),
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield from _table(
        ["corpora", "files", "photographs", "quarantined", "groups"],
        [
            [row["corpus"], row["files"], row["photographs"], row["quarantined"], row["groups"]]
            for row in facts["corpora"]
        ],
    )
    yield from _table(
        ["benchmark sets", "images", "photographs", "generators", "gate"],
        [
            [row["dataset"], row["images"], row["photographs"], row["generators"], "yes" if row["gate"] else "no"]
            for row in facts["benchmark_sets"]
        ],
    )
    if facts["rows"]:
        yield from _wrapped("rows", ", ".join(f"{table} {count:,}" for table, count in facts["rows"].items()))
    stopped = facts["quarantine"]
    if stopped["files"]:
        most = ", ".join(f"{each['stage']} {each['reason']} {each['files']:,}" for each in stopped["reasons"])
        yield from _wrapped("quarantine", f"{stopped['files']:,} files; most often: {most}")
    yield from _who_answers(facts)
    yield from _runs(facts["runs"])
    yield from _due(facts)


def _who_answers(facts: dict[str, Any]) -> Iterator[str]:
    champion, refused = facts["champion"], facts["refused"]
    if champion is None:
        said = "none yet: `sdaie detect` answers with the detector in the box"
    else:
        how = f", {champion['decision'].replace('_', ' ')} {champion['since']}" if champion["since"] else ""
        said = f"{champion['detector']} {champion['detector_id']}{how}"
    yield from _wrapped("champion", said)
    if refused:
        reasons = "; ".join(each["reason"] for each in refused["reasons"])
        yield from _wrapped("refused", f"{refused['challenger']} {refused['decided_at']}: {reasons}")


def _runs(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from _wrapped("runs", f"the last {len(runs)}" if runs else "no runs yet")
    for run in runs:
        partition = f" [{run['partition']}]" if run["partition"] else ""
        took = f" in {_duration(run['seconds'])}" if run["seconds"] is not None else ""
        yield f"  {run['when']}  {run['job']}{partition}: {run['status']}{took}"
        for each in run["reasons"]:
            yield f"    {each['step'] or 'the run'}: {each['reason']}"


def _due(facts: dict[str, Any]) -> Iterator[str]:
    if facts["due_unknown"]:
        yield from _wrapped("due", f"not to be told: {facts['due_unknown']}")
    elif not facts["corpora"]:
        yield from _wrapped("due", "a corpus: `sdaie corpus add NAME SOURCE`")
    elif not facts["due"]:
        yield from _wrapped("due", "nothing: everything registered is up to date")
    else:
        yield from _wrapped("due", "`sdaie run` would make:")
        for group in dict.fromkeys(each["group"] for each in facts["due"]):
            stages = [_stage(each) for each in facts["due"] if each["group"] == group]
            yield from _wrapped(f"  {group}", ", ".join(stages))
    # The row `retraining` names the others; alone it says why nothing could be compared.
    moved = [each for each in facts["drift"] if each["measure"] != "retraining"] or facts["drift"]
    if moved:
        yield from _wrapped("retraining", f"due: {'; '.join(each['reason'] for each in moved)}")


def _stage(due: dict[str, Any]) -> str:
    stale, of = due["partitions"], due["of"]
    if not stale:
        return str(due["stage"])
    return f"{due['stage']} [{stale[0] if len(stale) == 1 else f'{len(stale)} of {of}'}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Names to the left, numbers to the right; nothing where there are no rows."""
    if not rows:
        return
    width = max(16, *(len(str(row[0])) + 3 for row in rows))
    yield f"{heads[0]:{width}}" + "".join(f"{head:>13}" for head in heads[1:])
    for name, *counts in rows:
        cells = [f"{count:,}" if isinstance(count, int) else str(count) for count in counts]
        said = "not read yet" if counts[0] is None else "".join(f"{cell:>13}" for cell in cells)
        yield f"  {name:{width - 2}}{said}"


def _wrapped(head: str, said: str) -> list[str]:
    # Paths and names stay whole, so that they can be copied.
    lines = wrap(said, _WIDTH - 16, break_long_words=False, break_on_hyphens=False)
    return [f"{'' if number else head:16}{line}" for number, line in enumerate(lines)]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
