import io
import time

import numpy as np
import pytest

from models.arrays import pack_arrays, unpack_arrays

ARRAYS = {
    "floats": np.random.default_rng(0).normal(size=(5, 3)),
    "text": np.array("µ"),
    "empty": np.zeros((0, 4), np.float32),
    "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


def test_round_trip_is_exact() -> None:
    kept = unpack_arrays(pack_arrays(ARRAYS))
    assert sorted(kept) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert kept[name].dtype == array.dtype
        assert kept[name].shape == array.shape
        assert np.array_equal(kept[name], array)


def test_bytes_depend_on_neither_time_nor_order() -> None:
    first = pack_arrays(ARRAYS)
    time.sleep(2.1)  # a zip file's time has a resolution of two seconds
    assert pack_arrays(dict(reversed(ARRAYS.items()))) == first


def test_objects_are_refused() -> None:
    objects = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match="Object arrays"):
        pack_arrays({"bad": objects})
    buffer = io.BytesIO()
    np.savez(buffer, bad=objects)
    with pytest.raises(ValueError, match="Object arrays"):
        unpack_arrays(buffer.getvalue())
