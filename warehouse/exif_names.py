"""Labels of makers and models: one camera, one name, however its files spell it.

The rules are here, the aliases themselves in `exif_aliases.toml`. Everything else about EXIF text belongs in
`exif_values.py`.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


def is_placeholder(name: str) -> bool:
    """Whether a text stands for no value: no letter or digit in it, or a stock word such as `unknown`."""
    return not any(c.isalnum() for c in name) or name.casefold() in _aliases()["placeholders"]


def maker(name: str) -> str:
    """Label of a maker (Make, 0x010F): lower case, without words for the kind of company, aliases resolved."""
    words = re.sub(r"[.,]", " ", name.casefold()).split()
    label = " ".join(word for word in words if word not in _aliases()["company_words"]) or " ".join(words)
    return str(_aliases()["make"].get(label, label))


def model(name: str, make: str | None) -> str:
    """Label of a model (Model, 0x0110): lower case, without the maker's label in front, one name for all markets."""
    label = name.casefold()
    if make is None:
        return label
    label = re.sub(rf"^{re.escape(make)}[\s_-]+(?=\S)", "", label)
    return str(_aliases()["model"].get(make, {}).get(label, label))


@cache
def _aliases() -> dict[str, Any]:
    return tomllib.loads((files("warehouse") / "exif_aliases.toml").read_text("utf-8"))
