"""Patterns of names, as tar shards are named: ranges in braces and wildcards.

Taking a pattern apart belongs here; what it finds in a store belongs to the storage.
"""

import re
from pathlib import Path

from warehouse.home import UserError

MOST_NAMES = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_WILD = re.compile(r"[*?\[]")
_ANY = re.compile(r"[*?\[{]")


def is_wild(name: str) -> bool:
    """Whether a name has wildcards, so that only a look tells which files it means."""
    return _WILD.search(name) is not None


def split_pattern(pattern: str) -> tuple[str, str]:
    """The folder that all names of a pattern lie in, and the pattern below it."""
    found = _ANY.search(pattern)
    folder, _, below = pattern[: found.start() if found else None].rpartition("/")
    return folder or ("/" if pattern.startswith("/") else ""), below + (pattern[found.start() :] if found else "")


def expand(pattern: str) -> list[str]:
    """The names that braces stand for: `{000..099}` (leading zeros are kept) and `{a,b}`; in order, each once.

    Raises UserError where there are braces that are neither, or too many names.
    """
    names = [pattern]
    while found := _BRACES.search(names[0]):
        options = _options(pattern, found[1])
        if len(names) * len(options) > MOST_NAMES:
            raise UserError(f"{pattern}: stands for more than {MOST_NAMES} names")
        # The first braces of all names are the same, behind heads that differ.
        parts = [(name.partition(found[0])[0], name.partition(found[0])[2]) for name in names]
        names = [head + option + tail for head, tail in parts for option in options]
    return list(dict.fromkeys(names))


def local_names(pattern: str) -> list[str]:
    """The names of local files that a pattern means, below its folder and sorted; those alone that are there."""
    folder, below = split_pattern(pattern)
    found: set[str] = set()
    for name in expand(below):
        if is_wild(name):
            found.update(path.relative_to(folder).as_posix() for path in Path(folder).glob(name))
        elif Path(folder, name).exists():
            found.add(name)
    return sorted(found)


def _options(pattern: str, inside: str) -> list[str]:
    if counted := _RANGE.fullmatch(inside):
        first, last = counted.groups()
        if int(last) - int(first) >= MOST_NAMES:
            raise UserError(f"{pattern}: stands for more than {MOST_NAMES} names")
        width = len(first) if first.startswith("0") or len(first) == len(last) else 0
        numbers = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
        if numbers:
            return numbers
    elif "," in inside:
        return inside.split(",")
    raise UserError(f"{pattern}: {{{inside}}} is no range: write {{000..099}} or {{a,b}}")
