"""What a table or a tar shard says beside a picture: which columns of it are kept, and how they are named.

Leaving out what tells places, devices and people belongs here, and the names that the catalogue gives such columns.
Whoever reads tables and shards keeps the result in `Listed.columns`.
"""

import re
from collections.abc import Iterable, Mapping

from warehouse.exif_privacy import is_about_people
from warehouse.places import printable

MOST_COLUMNS = 100
_PLACES = frozenset({"lat", "lon", "lng", "long", "coordinates", "geometry", "geom", "city", "country", "address"})
_LONGEST_NAME = 60


def kept_columns(fields: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Names and values as text, sorted: no null, no list, no object, nothing private."""
    kept = []
    for name, value in fields.items():
        if isinstance(value, str | int | float) and not is_private_column(name):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            kept.append((printable(name), printable(text)))
    return tuple(sorted(dict(kept).items()))


def is_private_column(name: str) -> bool:
    """Whether a column tells a place, a device's serial number or a person's name."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    return plain in _PLACES or is_about_people(name) or is_about_people(plain)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A name of letters, digits and underscores for each of the names, of which the first 100 are taken, sorted."""
    taken: dict[str, str] = {}
    for name in sorted(set(names))[:MOST_COLUMNS]:
        plain = (re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "column")[:_LONGEST_NAME]
        number = 1
        unique = plain
        while unique in taken:
            number += 1
            unique = f"{plain}_{number}"
        taken[unique] = name
    return {name: unique for unique, name in taken.items()}
