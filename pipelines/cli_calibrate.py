"""The command `sdaie calibrate`: a calibration of one's own, and the list of those there are.

Parsing words and printing answers belong here. What a calibration is belongs to `models/recalibration.py`, making and
finding one to `assets/calibration.py`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli_options import home_option, say
from warehouse.home import Home, UserError
from warehouse.progress import counter

if TYPE_CHECKING:
    from assets.calibration import Calibrated
    from models.archive_checks import Reference, SelfCheck


@click.command()
@home_option
@click.argument("folder", required=False)
@click.option("--name", help="What the calibration is called; else as the folder.")
@click.option("--group", help="Column of a table whose values are held out together, such as the photographer.")
@click.option(
    "--fpr",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="Share of photographs that may be flagged; else as the detector has it.",
)
@click.option("--list", "as_list", is_flag=True, help="List the calibrations of this home instead.")
@click.pass_obj
def calibrate(
    home: Home, folder: str | None, name: str | None, group: str | None, fpr: float | None, as_list: bool
) -> None:
    """Calibrate the detector on real photographs of one's own in FOLDER; `sdaie detect --calibration NAME` uses it.

    FOLDER may also be a table of files, tar shards or an address, as for `sdaie corpus add`. All pictures in it must
    be camera photographs: generated ones would raise the threshold. Photographs in one sub-folder are taken for one
    group (an assignment, a photographer). The false-positive rate holds for photographs like these; of groups that are
    not among them more may be flagged. The more groups, the better.

    \b
    A rate needs at least 1/rate - 1 photographs: 19 for 5%, 99 for 1%, 999 for 0.1%.
    The self-check, on held-out halves, needs about twice as many.

    What was judged is kept: after a kill, or with new photographs in the folder, only what is new is judged.
    """
    if as_list:
        _list(home)
        return
    if folder is None:
        raise click.UsageError("name the FOLDER of photographs, or pass --list")
    from assets.calibration import Archive, answering_detector
    from assets.calibration import calibrate as make
    from warehouse.addresses import checked_address, is_address
    from warehouse.registry import resolve

    place = checked_address(folder) if is_address(folder) else str(resolve(Home(Path.cwd()), folder))
    detector = answering_detector(home)
    chosen = _name_of(folder) if name is None else name
    made = make(home, detector, Archive(place, group), chosen, fpr or detector.fpr, counter(f"calibrate {chosen}", say))
    for line in _lines(made):
        click.echo(line)


def _name_of(folder: str) -> str:
    """The folder's own name in the letters a name may have; "" where it has none."""
    return re.sub(r"[^a-z0-9_-]+", "-", Path(folder).absolute().stem.lower()).strip("-_")[:64]


def _lines(made: "Calibrated") -> list[str]:
    own, judged = made.own, made.judged
    name, count = own.calibration.name, own.photographs
    refused = "".join(f", {number} {reason}" for reason, number in judged.refused.items())
    return [
        f"{name}: {judged.listed} files: {count} judged{refused}; groups: {own.calibration.sources}",
        _beside(made.reference, made.highest),
        _checked(made.check),
        f"threshold {own.threshold:.4g} at a false-positive rate of {own.fpr:g}; {count} photographs allow "
        f"{1 / (count + 1):.2g} and more; detector {own.detector}",
        f"use it with `sdaie detect --calibration {name}`",
    ]


def _beside(reference: "Reference", highest: tuple[str, ...]) -> str:
    from models.archive_checks import Fit

    share = reference.flagged
    verdict = {
        Fit.FITS: "the archive fits the detector's own calibration",
        Fit.HIGHER: "the archive scores higher as a whole: without a calibration of its own too many are flagged",
        Fit.LOWER: "the archive scores lower as a whole: a calibration of its own finds more generated pictures",
        Fit.SOME_GENERATED: f"some look generated, which would spoil the calibration: look at {', '.join(highest)}",
    }[reference.fit]
    interval = _interval(share.rate, share.low, share.high)
    return (
        f"the detector's own threshold flags {share.flagged} of {share.n}: {interval} "
        f"where {share.nominal:.3g} is meant; Kolmogorov-Smirnov distance {reference.distance:.2f}, "
        f"p {reference.chance:.2g}: {verdict}"
    )


def _checked(check: "SelfCheck | None") -> str:
    if check is None:
        return "self-check: half of the photographs are too few for this rate"
    found, (low, high) = check.realised, check.expected
    halves = (
        f"calibrated on {check.calibrated_on} photographs of {check.calibrated_groups} groups, held out {found.n} of "
        f"{check.held_out_groups} others"
        if check.by_group
        else f"calibrated on {check.calibrated_on} photographs, held out {found.n}"
    )
    verdict = (
        "the rate is kept"
        if check.kept
        else "more than chance: the photographs differ too much, and of new groups too many will be flagged"
    )
    return (
        f"self-check: {halves}: {found.flagged} flagged, {_interval(found.rate, found.low, found.high)}; "
        f"{low} to {high} were to be expected: {verdict}"
    )


def _interval(rate: float, low: float, high: float) -> str:
    return f"{rate:.3f} [{low:.3f}, {high:.3f}]"


def _list(home: Home) -> None:
    from assets.calibration import calibration_names, load_calibration
    from pipelines.formats import print_rows

    columns = ["name", "photographs", "groups", "fpr", "threshold", "fit", "detector", "date", "source"]
    rows: list[list[object]] = []
    unread = []
    for name in calibration_names(home):
        try:
            own = load_calibration(home, name)
        except UserError as error:
            unread.append(str(error))
            continue
        said = [own.facts["reference"]["fit"], own.detector, own.facts["date"], own.facts["source"]]
        rows.append([name, own.photographs, own.calibration.sources, own.fpr, own.threshold, *said])
    click.echo(print_rows(columns, rows, "table"), nl=False)
    if unread:
        raise UserError("; ".join(unread))
