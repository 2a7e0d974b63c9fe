"""What of answers becomes files to look at: heat maps as PNG, and one page of all.

Turning pictures into small files, and gathering what the page holds, belong here; how it looks belongs to
`warehouse/answer_page.py`, how a map is drawn to `models/heat_map.py`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from assets.answers import Judge
from assets.evidence import evidence
from warehouse.answer_page import Claim, MapKey, ShownPicture, render
from warehouse.home import atomic_path, write_text

if TYPE_CHECKING:
    from assets.detection import Answered

Claimed = Callable[["Answered"], Sequence[Claim]]
"""Gives what EXIF claims of a picture, held against its pixels."""

_THUMBNAIL = 360
_MAP = 900


def write_heat_map(folder: Path, answered: Answered) -> None:
    """Write a picture's heat map as a PNG named by file and place; nothing where it has none.

    The digits behind the name tell files of one name in several folders apart.
    """
    if answered.heat_map is None:
        return
    from models.heat_map import with_legend

    file = Path(answered.answer.file)
    place = hashlib.sha256(str(file).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    stem = "".join(sign if sign.isprintable() else "_" for sign in file.stem)[:100]
    with atomic_path(folder / f"{stem}.{place}.png") as temporary:
        temporary.write_bytes(with_legend(answered.heat_map.drawn))


def shown_picture(answered: Answered, claims: Claimed = lambda answered: ()) -> ShownPicture:
    """What the page shows of an answer, its pictures as small JPEG files; `claims` holds EXIF against pixels."""
    thumbnail = None if answered.picture is None else _jpeg(answered.picture, _THUMBNAIL)
    heat_map = answered.heat_map
    if heat_map is None:
        return ShownPicture(answered.answer, thumbnail)
    drawn = _jpeg(heat_map.drawn, _MAP)
    return ShownPicture(answered.answer, thumbnail, drawn, heat_map.regions, heat_map.framed, tuple(claims(answered)))


def write_page(target: Path, files: Sequence[Path], shown: Sequence[ShownPicture], judge: Judge) -> None:
    """Write the page of answers, atomically; `files` are those of `shown`. UserError where it cannot be written."""
    from models.heat_map import COLOURS, FRAMED, HATCHED, labels

    key = MapKey(tuple(zip(COLOURS, labels(), strict=True)), FRAMED, HATCHED)
    write_text(target, render(shown, evidence(files), key, judge.detector.facts))


def _jpeg(image: Image.Image, side: int) -> bytes:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
