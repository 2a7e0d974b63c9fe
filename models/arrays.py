"""Named arrays in a file of NumPy's `.npz` format, without pickle and the same bytes for the same arrays.

What belongs here: that one format. What does not: what the arrays mean.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# numpy.savez stamps its entries with the time of day; the earliest time a zip file can hold stands for none.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Give the bytes of an uncompressed `.npz` of these arrays, in the order of their names.

    Raises `ValueError` for arrays of Python objects.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asarray(arrays[name], order="C"), (1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, entry.getvalue())
    return buffer.getvalue()


def unpack_arrays(content: bytes) -> dict[str, Array]:
    """Read the bytes of an `.npz` file into arrays by name; raises `ValueError` where objects are pickled."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def within(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
