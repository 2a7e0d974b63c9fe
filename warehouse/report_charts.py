"""Charts with two axes, as inline SVG: where curves and points lie, and which colour a detector has everywhere.

Axes, paths and colours belong here; what is drawn belongs to the sections, how it looks to `report.html.j2`. Dot plots
and number formats are in `report_plots.py`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from warehouse.report_tables import COMPANIONS

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 42
COLOURS = 8

Point = tuple[float, float]


@dataclass(frozen=True)
class Palette:
    """The looks of each detector, the same in all charts: classes of colour and dash, by name."""

    styles: Mapping[str, str]

    @classmethod
    def of(cls, names: Iterable[str], champion: str | None) -> "Palette":
        """The champion has the first colour and a thick line; companions are dashed; beyond eight, dots are added."""
        order = sorted(names, key=lambda name: (name != champion, name in COMPANIONS, name))
        return cls(
            {
                name: f"c{place % COLOURS}"
                + (" thick" if name == champion else "")
                + (" dashed" if name in COMPANIONS else " dotted" if place >= COLOURS else "")
                for place, name in enumerate(order)
            }
        )

    def legend(self, notes: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Name, note and style of the detectors that have a note, in the order of the palette."""
        return [(name, notes[name], style) for name, style in self.styles.items() if name in notes]


@dataclass(frozen=True)
class Axis:
    """An axis: its title with the unit, its ticks (value and text), and its ends; values beyond lie at the end."""

    title: str
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float
    transform: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        low, high = self.transform(self.low), self.transform(self.high)
        place = self.transform(min(max(value, self.low), self.high))
        return (place - low) / (high - low)


def linear_axis(title: str, low: float, high: float) -> Axis:
    """Round ticks, some five of them, from below the lowest value to above the highest."""
    spread = (high - low) or 1.0
    step = 10 ** math.floor(math.log10(spread / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if spread / (factor * step) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = tuple((n * step, _short(n * step, digits)) for n in range(first, last + 1))
    return Axis(title, ticks, first * step, last * step)


def log_axis(title: str, low: float, high: float) -> Axis:
    """A logarithmic axis with ticks at 1, 2 and 5 times powers of ten; `low` is above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    nice = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max((n for n in nice if n <= low), default=nice[0])
    last = min((n for n in nice if n >= high and n > first), default=nice[-1])
    ticks = tuple((n, f"{n:g}") for n in nice if first <= n <= last)
    return Axis(title, ticks, first, last, math.log)


def level_axis(title: str, levels: Sequence[str]) -> Axis:
    """Ordered levels, evenly spaced."""
    return Axis(title, tuple((float(n), level) for n, level in enumerate(levels)), -0.25, len(levels) - 0.75)


def deviate_axis(title: str) -> Axis:
    """Rates from 0.5% to 99.5%, spaced as deviates of the normal distribution."""
    rates = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
    return Axis(title, tuple((r, f"{100 * r:g}%") for r in rates), 0.005, 0.995, NormalDist().inv_cdf)


@dataclass(frozen=True)
class Series:
    """Something drawn: an SVG path, its classes, and whose it is."""

    style: str
    path: str
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """Two axes and what is drawn between them, `height` units high and `WIDTH` wide."""

    title: str
    about: str
    x: Axis
    y: Axis
    series: list[Series]
    height: int = 300

    width = WIDTH
    left, right, top = LEFT, WIDTH - RIGHT, TOP

    @property
    def bottom(self) -> int:
        """Where the horizontal axis lies."""
        return self.height - BOTTOM

    @property
    def x_ticks(self) -> list[tuple[str, str]]:
        """Place and text of the ticks of the horizontal axis."""
        return [(self._place((value, self.y.low))[0], text) for value, text in self.x.ticks]

    @property
    def y_ticks(self) -> list[tuple[str, str]]:
        """Place and text of the ticks of the vertical axis."""
        return [(self._place((self.x.low, value))[1], text) for value, text in self.y.ticks]

    def _place(self, point: Point) -> tuple[str, str]:
        return place(self.x, self.y, point, self.height)

    def line(self, style: str, points: Sequence[Point], name: str = "") -> None:
        """Add a line through points."""
        self.series.append(Series(f"curve {style}", "M" + "L".join(" ".join(self._place(p)) for p in points), name))

    def dots(self, style: str, points: Iterable[Point]) -> None:
        """Add a dot at each point."""
        self.series.append(Series(f"spot {style}", "".join(f"M{' '.join(self._place(p))}h0" for p in points)))

    def crosses(self, style: str, points: Iterable[Point]) -> None:
        """Add a cross at each point."""
        cross = "m-3-3l6 6m0-6l-6 6"
        self.series.append(Series(f"cross {style}", "".join(f"M{' '.join(self._place(p))}{cross}" for p in points)))

    def band(self, style: str, lows: Sequence[Point], highs: Sequence[Point]) -> None:
        """Add the area between two lines."""
        outline = [*lows, *reversed(highs)]
        path = "M" + "L".join(" ".join(self._place(p)) for p in outline) + "Z"
        self.series.append(Series(f"band {style}", path))


def place(x: Axis, y: Axis, point: Point, height: int) -> tuple[str, str]:
    """Where a point lies in the units of the drawing."""
    across = LEFT + x.share(point[0]) * (WIDTH - LEFT - RIGHT)
    down = height - BOTTOM - y.share(point[1]) * (height - BOTTOM - TOP)
    return f"{across:.1f}", f"{down:.1f}"


def _short(value: float, digits: int) -> str:
    if abs(value - round(value)) < 10 ** -(digits + 1):
        return f"{round(value)}".replace("-", "−")
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "−0.")) else text
