"""How numbers are written in the report, and where the marks of its plots lie.

Number formats and geometry belong here, in percent of the plot's width, so that plots fit any screen; what is shown
belongs to `report.py`, how it looks to `report.html.j2`. Charts with two axes are in `report_charts.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

NOTHING = "–"
MAXIMAL_POINTS = 300
_NICE_ENDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def score(value: float | None, digits: int = 3) -> str:
    """A share or an AUROC: `.743`; a dash where it is missing."""
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    # A rounded -0.000 has no sign.
    text = text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "−0.")) else text


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """A value with its interval: `.743 [.70, .78]`."""
    if value is None or low is None or high is None:
        return score(value)
    return f"{score(value)} [{score(low, 2)}, {score(high, 2)}]"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign: `+.043`."""
    text = score(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(f"{value:.{digits}f}") else text


def signed_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A difference with its interval: `+.043 [−.01, +.10]`."""
    if value is None or low is None or high is None:
        return signed(value)
    return f"{signed(value)} [{signed(low, 2)}, {signed(high, 2)}]"


def p_value(value: float | None, relation: bool = False) -> str:
    """A p-value: `.034`, or `<.001`; after a name, with the relation: `= .034`."""
    if value is not None and value < 0.001:
        return "< .001" if relation else "<.001"
    return f"= {score(value)}" if relation else score(value)


def percent(value: float | None, digits: int = 0) -> str:
    """A share in percent: `42%`."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}%"


def percent_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A share in percent with its interval: `4.8% [3.1, 7.0]`."""
    if value is None or low is None or high is None:
        return percent(value, 1)
    return f"{percent(value, 1)} [{100 * low:.1f}, {100 * high:.1f}]"


def count(value: int | None) -> str:
    """A count with narrow spaces between thousands."""
    return NOTHING if value is None else f"{value:,}".replace(",", "\u202f")


@dataclass(frozen=True)
class Scale:
    """A linear axis: its ends, its ticks with their texts, and the value that is marked by a line, if any."""

    low: float
    high: float
    ticks: tuple[tuple[str, str], ...]
    marked: str | None = None

    @classmethod
    def of(cls, ticks: Sequence[float], texts: Sequence[str], marked: float | None = None) -> "Scale":
        """A scale from the first tick to the last."""
        bare = cls(ticks[0], ticks[-1], ())
        placed = tuple((bare.place(tick), text) for tick, text in zip(ticks, texts, strict=True))
        return cls(ticks[0], ticks[-1], placed, None if marked is None else bare.place(marked))

    def place(self, value: float) -> str:
        """Where a value lies, in percent of the width; beyond the ends, at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{100 * share:.2f}%"


UNIT = Scale.of((0, 0.25, 0.5, 0.75, 1), ("0", ".25", ".5", ".75", "1"), marked=0.5)
PLAIN = Scale.of((0, 0.25, 0.5, 0.75, 1), ("0", ".25", ".5", ".75", "1"))
SHARE = Scale.of((0, 0.25, 0.5, 0.75, 1), ("0%", "25%", "50%", "75%", "100%"))


def rate_scale(nominal: float | None, highest: float) -> Scale:
    """From 0 to a round rate that holds the highest end of an interval and twice the nominal rate, if there is one."""
    end = next((nice for nice in _NICE_ENDS if nice >= max(2 * (nominal or 0.0), min(highest, 1))), 1.0)
    return Scale.of((0, end / 2, end), ("0%", f"{50 * end:g}%", f"{100 * end:g}%"), marked=nominal)


@dataclass(frozen=True)
class Dot:
    """A row of a dot plot: a value with its interval, and where there is one a second value to compare with."""

    label: str
    note: str
    text: str
    value: str | None
    low: str | None
    high: str | None
    other: str | None = None
    strong: bool = False
    style: str = ""

    @classmethod
    def of(
        cls,
        scale: Scale,
        row: Mapping[str, Any],
        names: tuple[str, str, str],
        *,
        label: str,
        note: str,
        text: str,
        other: float | None = None,
        strong: bool = False,
        style: str = "",
    ) -> "Dot":
        """Place the columns `names` (value, low end, high end) of a row; `style` is the detector's, if it has one."""
        value, low, high = (None if row[name] is None else scale.place(row[name]) for name in names)
        beside = None if other is None else scale.place(other)
        return cls(label, note, text, value, low, high, beside, strong, style)


@dataclass(frozen=True)
class Line:
    """A line chart: points for a viewBox of 1000 x 300, and the texts of the axes."""

    title: str
    last: str
    points: str
    top: str
    bottom: str
    end: str

    @classmethod
    def of(cls, title: str, steps: Sequence[int], values: Sequence[float]) -> "Line":
        """A chart of `values` over `steps`; at most `MAXIMAL_POINTS` points, the last one always among them."""
        stride = math.ceil(len(steps) / MAXIMAL_POINTS)
        kept = sorted({*range(0, len(steps), stride), len(steps) - 1})
        low, high = min(values), max(values)
        height, width = (high - low) or 1.0, (steps[-1] - steps[0]) or 1
        points = " ".join(
            f"{1000 * (steps[i] - steps[0]) / width:.1f},{290 - 280 * (values[i] - low) / height:.1f}" for i in kept
        )
        return cls(title, score(values[-1]), points, score(high, 2), score(low, 2), count(steps[-1]))


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it says, and what it is sorted by."""

    text: str
    sort: str
    numeric: bool = False


def cell(value: object, text: str | None = None) -> Cell:
    """A cell of a value; `text` where it is not said as it stands. Missing values sort last."""
    if isinstance(value, bool):
        return Cell(text or ("yes" if value else "no"), str(int(value)))
    if isinstance(value, int | float):
        return Cell(text or (count(value) if isinstance(value, int) else score(value)), repr(value), True)
    return Cell(
        text or (NOTHING if value is None else visible(str(value))), "" if value is None else str(value).lower()
    )


def visible(text: str, longest: int = 120) -> str:
    """A name from a stranger's disk: no character that hides, turns or breaks the text, and no endless one."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return shown if len(shown) <= longest else f"{shown[: longest // 2]} … {shown[-longest // 3 :]}"


def runs(rows: Sequence[Mapping[str, Any]], *names: str) -> list[list[Mapping[str, Any]]]:
    """Neighbouring rows that agree in `names`, together."""
    if not rows:
        return []
    keys = [tuple(row[name] for name in names) for row in rows]
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(keys), 1) if a != b), len(rows)]
    return [list(rows[a:b]) for a, b in pairwise(starts)]
