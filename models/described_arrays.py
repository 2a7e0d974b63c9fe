"""Named arrays with a JSON object that says what they are, as one safetensors file: no code runs on loading.

Here belongs the one form that detectors, calibrations and claims are kept in. What arrays and object mean belongs to
each of them; weights of backbones have a form of their own in `weights`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

Arrays = Mapping[str, npt.NDArray[Any]]


def pack(arrays: Arrays, facts: Mapping[str, Any]) -> bytes:
    """The file of arrays and a JSON object, the same bytes for the same of both."""
    # safetensors takes arrays as they lie in memory, whatever their strides.
    whole = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    return bytes(save(whole, {"sdaie": json.dumps(facts, sort_keys=True)}))


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The JSON object and the arrays that `pack` was given; ValueError where it is no such file."""
    try:
        size = int.from_bytes(content[:8], "little")
        facts: dict[str, Any] = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["sdaie"])
        return facts, load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
