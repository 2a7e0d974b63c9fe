"""The page of answers: one self-contained HTML file that says of pictures what the detector found, in plain words.

Filling the template and the sentences that depend on numbers belong here; the looks are in `answer.html.j2`, which
shares the report's style. What an answer holds belongs to `answers.py`.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from warehouse.answers import CANNOT_TELL, GENERATED, PHOTOGRAPH, Answer
from warehouse.places import printable

TITLES = {PHOTOGRAPH: "Photograph", GENERATED: "Generated", CANNOT_TELL: "Cannot tell"}


@dataclass(frozen=True)
class Evidence:
    """What a file says about itself; none of it enters the score.

    `c2pa` is the program that signed a C2PA manifest, None without one; `digital_source_type` is IPTC's;
    `generators` and `editing` are as `exif_marks.py` finds them. `unread` says why nothing could be read.
    """

    c2pa: str | None = None
    digital_source_type: str | None = None
    generators: tuple[str, ...] = ()
    editing: tuple[str, ...] = ()
    unread: str | None = None


@dataclass(frozen=True)
class Claim:
    """What EXIF claims, held against the pixels: in words, and whether they speak against it."""

    sentence: str
    against: bool


@dataclass(frozen=True)
class ShownPicture:
    """One picture of the page: its answer; thumbnail and heat map as JPEG files, None where there are none.

    `regions` is how many the map has, `framed` how many of them stand out. `claims` is empty where none were held
    against the pixels.
    """

    answer: Answer
    thumbnail: bytes | None = None
    heat_map: bytes | None = None
    regions: int = 0
    framed: int = 0
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class MapKey:
    """The legend of the heat maps: colours with what they stand for, and what a frame and hatching mean."""

    colours: tuple[tuple[str, str], ...]
    framed: str
    hatched: str


def render(
    pictures: Sequence[ShownPicture], evidence: Sequence[Evidence], key: MapKey, made_from: Mapping[str, object]
) -> str:
    """The page; `evidence` is that of each picture's file, `made_from` what the detector's file says of its making."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "jpeg": lambda content: f"data:image/jpeg;base64,{base64.b64encode(content).decode()}",
        "p_value": p_value,
        "percent": lambda share: f"{100 * share:.3g}%",
        "stands_for": stands_for,
    }
    named = [replace(one, answer=replace(one.answer, file=printable(one.answer.file))) for one in pictures]
    return environment.get_template("answer.html.j2").render(
        pictures=list(zip(named, evidence, strict=True)),
        verdicts=Counter(one.answer.verdict for one in pictures),
        titles=TITLES,
        key=key,
        judged_by=pictures[0].answer if pictures else None,
        made_from=made_from,
    )


def p_value(value: float) -> str:
    """A p-value with as many digits as mean something."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}" if value >= 0.001 else f"{value:.2g}"


def stands_for(answer: Answer) -> str:
    """What an answer's p-value and verdict mean, in plain words; the p-value is there."""
    if answer.p_value is None:
        raise ValueError("an answer without a p-value stands for nothing")
    share = max(1, round(1000 * answer.p_value))
    ranked = f"Of 1,000 photographs, about {share:,} look at least as generated to the detector as this picture."
    rate = f"{1000 * answer.false_positive_rate:g}"
    if answer.verdict == GENERATED:
        return f"{ranked} That is within the limit of {rate}: so many of 1,000 photographs are called so wrongly."
    if answer.verdict == PHOTOGRAPH:
        return (
            f"{ranked} That is above the limit of {rate}: the detector found nothing that photographs do not have."
            " That does not prove that it is one. Generated pictures that it misses get this verdict too."
        )
    return f"{ranked} For the reason above that rank is not to be relied on."
