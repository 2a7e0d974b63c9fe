"""How the detector that answers came to: the history of decisions, which the pointer to it follows.

Reading and adding decisions belongs here, the pointer itself to `warehouse/champion.py`; what is asked of a challenger,
and whether it passes, to `promotion.py`. The pointer is replaced after the decision is written, so that a half-written
detector never answers, and whoever is killed between the two is finished by the next run.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from assets.square_detectors import RECONSTRUCTION, SQUARES
from warehouse.champion import COMBINED, read_champion, write_champion
from warehouse.home import Home, UserError
from warehouse.home_lock import lock_file, take
from warehouse.shards import Rows, frame
from warehouse.store import Store

HISTORY = "promotions"
Decided = Literal["promoted", "refused", "promoted_by_hand", "rolled_back"]


@dataclass(frozen=True)
class Decision:
    """One decision: by whom (pipeline or person), on whom, who answered before (None: nobody), and who from then on."""

    number: int
    decided_at: str
    decision: Decided
    by: str
    challenger: str
    champion_before: str | None
    champion: str | None

    @property
    def promoted(self) -> bool:
        """Whether the detector decided upon answers since."""
        return self.decision != "refused"


def decisions(store: Store) -> list[Decision]:
    """All decisions, the oldest first."""
    columns = ["number", "decided_at", "decision", "by", "challenger", "champion_before", "champion"]
    rows = store.read(HISTORY, columns=columns).unique("number").sort("number")
    return [Decision(**row) for row in rows.iter_rows(named=True)]


def newest(store: Store) -> str:
    """Identity of the detector that was fitted last. IndexError where none was."""
    table = store.read("detectors", [SQUARES], ["detector", "detector_id"])
    return str(table.filter(pl.col("detector") == COMBINED)["detector_id"][0])


def settled(home: Home, identity: str) -> Decision | None:
    """The decision that let a detector answer, where it answers still or a person took it back; else None.

    Nothing is decided again then: what a person did is not undone by the next run.
    """
    changes = [each for each in decisions(Store(home.tables)) if each.promoted]
    last = max((place for place, each in enumerate(changes) if each.champion == identity), default=None)
    if last is None:
        return None
    after = changes[last + 1 :]
    return changes[last] if not after or after[0].by == "person" else None


def opponent(home: Home, challenger: str) -> str | None:
    """The champion that a detector has to stand against; None where there is none.

    Once that is settled this is whoever answered before it, so that a decision leaves nothing to be measured anew.
    """
    decision = settled(home, challenger)
    if decision is not None:
        return decision.champion_before
    champion = read_champion(home)
    return None if champion == challenger else champion


def decide(home: Home, decision: Decided, challenger: str, reasons: Rows, *, by: str = "pipeline") -> Decision:
    """Write a decision with its reasons (rows as of `gates`), then move the pointer where it says so.

    Raises UserError where the home cannot be written, and where another machine decides at this moment.
    """
    with deciding(home):
        return _decide(home, decision, challenger, reasons, by)


def _decide(home: Home, decision: Decided, challenger: str, reasons: Rows, by: str) -> Decision:
    store = Store(home.tables)
    number = max((each.number for each in decisions(store)), default=0) + 1
    # Asking finishes what one that was killed had decided.
    while store.generation(HISTORY, f"{number:06d}"):
        number += 1
    former = read_champion(home)
    champion = former if decision == "refused" else challenger
    # A home that was made before decisions were written down has a pointer without one.
    former = None if former == challenger else former
    made = Decision(number, _now(), decision, by, challenger, former, champion)
    rows = [{**_bare(reason), **vars(made)} for reason in reasons]
    store.write(HISTORY, frame(HISTORY, rows), partition=f"{number:06d}", after=0)
    point(home)
    return made


def point(home: Home) -> str | None:
    """Make the pointer what the last decision says; the identity that it names, None where nothing was decided."""
    past = decisions(Store(home.tables))
    if not past:
        return None
    champion = past[-1].champion
    if champion is not None and champion != read_champion(home):
        write_champion(home, champion)
    return champion


def promote(home: Home, identity: str) -> Decision:
    """A person's own decision: this detector answers from now on.

    Raises UserError where the home has no such detector, or it answers already.
    """
    with deciding(home):
        known = detectors_here(home)
        found = [each for each in known if each.startswith(identity)]
        if len(found) != 1:
            said = f"{identity!r} stands for {', '.join(found)}" if found else f"no detector {identity!r} is here"
            raise UserError(f"{said}; there are {', '.join(known) or 'none: `sdaie run` makes one'}")
        if found[0] == read_champion(home):
            raise UserError(f"{found[0]} answers already")
        return _decide(home, "promoted_by_hand", found[0], [_by_hand("promoted by a person")], "person")


def roll_back(home: Home) -> Decision:
    """A person's own decision: the champion before this one answers again. Raises UserError where there is none."""
    with deciding(home):
        champion = read_champion(home)
        past = [each for each in decisions(Store(home.tables)) if each.promoted]
        former = None if champion is None else before(past, champion)
        if former is None:
            raise UserError("there is no champion before this one to go back to")
        if not home.detector_file(former).exists():
            raise UserError(f"the champion before this one, {former}, is no longer in {home.detectors}")
        return _decide(home, "rolled_back", former, [_by_hand(f"{champion} was taken back by a person")], "person")


def before(past: Sequence[Decision], champion: str) -> str | None:
    """Whom a roll-back of this champion brings back, by the promotions of the past; None where there is none."""
    brought = (each for each in reversed(past) if each.champion == champion and each.decision != "rolled_back")
    return next((each.champion_before for each in brought), None)


def detectors_here(home: Home) -> list[str]:
    """Identities of the detectors of the home that could answer: whole files, not those that are measured alone."""
    from models.combined import CombinedDetector

    found = []
    for folder in sorted(home.detectors.glob("*/")):
        file = home.detector_file(folder.name)
        with suppress(FileNotFoundError, ValueError):
            parts = [part.name for part in CombinedDetector.from_bytes(file.read_bytes()).parts]
            if parts != [RECONSTRUCTION]:
                found.append(folder.name)
    return found


def _by_hand(reason: str) -> dict[str, Any]:
    return {"gate": "by_hand", "subject": "", "passed": True, "reason": reason}


def _bare(reason: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reason.items() if name != "challenger"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def deciding(home: Home) -> Iterator[None]:
    """Decisions are made one at a time, and not while detectors are removed.

    Where the lock does not reach another machine, of two decisions of one number the second raises UserError.
    """
    with lock_file(home.path / ".promotions.lock") as lock:
        take(lock, fcntl.LOCK_EX)
        yield


def reasons_of(store: Store, challenger: str) -> Sequence[dict[str, Any]]:
    """Rows of `gates` that tell how the challenger did; empty where another one was judged last."""
    rows = store.read("gates")
    return rows.filter(pl.col("challenger") == challenger).sort("gate", "subject").to_dicts()
