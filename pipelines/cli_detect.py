"""The command `sdaie detect`: is this picture a photograph?

Its words, its table, its progress and where its answers go belong here; how pictures are judged belongs to
`assets/detection.py`. What it imports at the top is light: the first answer is not kept waiting.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli_options import home_option, say
from warehouse.answers import Answer, as_line, open_answers
from warehouse.home import Home

if TYPE_CHECKING:
    from assets.detection import Answered

_FOOTER = (
    "A p-value is the share of photographs that look at least as generated, not the probability of being generated;"
    " edits of a part of a picture are not judged."
)
_WIDEST_NAME = 60
_PRINT, _TABLE, _PROGRESS = "json", "table", "progress"


@click.command()
@home_option
@click.argument("paths", metavar="FILES_OR_FOLDERS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of the table.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add the answers to this file, one JSON object a line; what has an answer there is not judged again.",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page of the answers, with heat maps."
)
@click.option(
    "--heat-maps", type=click.Path(file_okay=False, path_type=Path), help="Write a heat map of each picture here."
)
@click.option("--calibration", metavar="NAME", help="Judge by this calibration of one's own (`sdaie calibrate`).")
@click.pass_obj
def detect(
    home: Home,
    paths: Sequence[Path],
    as_json: bool,
    output: Path | None,
    report: Path | None,
    heat_maps: Path | None,
    calibration: str | None,
) -> None:
    """Say of each picture whether it is a photograph: photograph, generated or cannot_tell.

    Of folders, all files below are judged. With --output FILE a run that was stopped goes on where it was. With
    --report or --heat-maps every picture is looked at again, since maps are made of pixels.
    """
    from assets.detection import choose, files_of
    from assets.detection import detect as answers

    files = files_of(paths)
    chosen = choose(home, calibration)
    show = report is not None or heat_maps is not None
    takers: list[Callable[[Answered], object]] = []
    with ExitStack() as stack:
        known = None
        if output is not None:
            kept = stack.enter_context(open_answers(output))
            takers.append(lambda answered: kept.add(answered.answer))
            if not show:

                def known(file: str, sha256: str) -> Answer | None:
                    return kept.known(file, sha256, chosen.identity)

        if heat_maps is not None:
            from assets.answer_pages import write_heat_map

            takers.append(partial(write_heat_map, heat_maps))
        shown = []
        if report is not None:
            from assets.answer_pages import shown_picture
            from assets.claims import claims_of_pictures

            claims = stack.enter_context(claims_of_pictures(chosen, home))
            takers.append(lambda answered: shown.append(shown_picture(answered, claims)))
        form = _PRINT if as_json else _TABLE if output is None else _PROGRESS
        verdicts = stack.enter_context(_told(answers(chosen, files, known, show), files, form))
        failed = False
        for answered in verdicts:
            failed |= answered.answer.failed
            for take in takers:
                take(answered)
    if report is not None:
        from assets.answer_pages import write_page

        write_page(report, files, shown, chosen.load())
        say(f"{report} has the answers to {len(files)} files")
    if failed:
        sys.exit(1)


@contextmanager
def _told(answers: Iterable["Answered"], files: Sequence[Path], form: str) -> Iterator[Iterable["Answered"]]:
    """The answers, each told as it goes by; what is said of all together follows at the end."""
    if form == _PRINT:
        yield _each(answers, lambda answer: click.echo(as_line(answer), nl=False))
        return
    last: list[Answer] = []
    if form == _TABLE:
        width = min(_WIDEST_NAME, max((len(_name(str(file))) for file in files), default=0))
        click.echo(f"{'file':{width}}  {'verdict':11}  p-value  reason")
        yield _each(_remembered(answers, last), lambda answer: click.echo(_row(answer, width)))
        if last:
            click.echo(f"{_stands_for(last[-1])} {_FOOTER}")
        return
    verdicts: Counter[str] = Counter()
    with click.progressbar(answers, length=len(files), file=sys.stderr, show_pos=True, label="judged") as progress:
        yield _each(progress, lambda answer: verdicts.update([answer.verdict]))
    say(", ".join(f"{verdicts[verdict]} {verdict}" for verdict in sorted(verdicts)) or "no files")


def _remembered(answers: Iterable["Answered"], last: list[Answer]) -> Iterator["Answered"]:
    for answered in answers:
        last[:] = [answered.answer]
        yield answered


def _each(answers: Iterable["Answered"], tell: Callable[[Answer], object]) -> Iterator["Answered"]:
    for answered in answers:
        tell(answered.answer)
        yield answered


def _name(file: str) -> str:
    """A file's name as a line of a terminal can hold it."""
    printable = "".join(sign if sign.isprintable() else "?" for sign in click.format_filename(file))
    return printable if len(printable) <= _WIDEST_NAME else "..." + printable[3 - _WIDEST_NAME :]


def _row(answer: Answer, width: int) -> str:
    p_value = "" if answer.p_value is None else f"{answer.p_value:.4f}"
    return f"{_name(answer.file):{width}}  {answer.verdict:11}  {p_value:>7}  {answer.reason or ''}".rstrip()


def _stands_for(answer: Answer) -> str:
    return (
        f"`generated`: p-value at most {answer.false_positive_rate:g}, as that share of photographs has"
        f" ({answer.calibration}: {answer.calibration_photographs} photographs of {answer.calibration_sources} sources;"
        f" detector {answer.detector})."
    )
