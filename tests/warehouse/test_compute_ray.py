"""What is said where a Ray cluster cannot be had."""

import sys

import pytest

from benchmarks.services import free_port
from warehouse.compute import compute_of
from warehouse.compute_ray import connected
from warehouse.home import UserError
from warehouse.registry import ComputeSettings


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    connected.cache_clear()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install \"sdaie\[ray\]\""):
        compute_of(ComputeSettings(engine="ray"))


@pytest.mark.slow
@pytest.mark.parametrize("address", ["auto", "127.0.0.1"])
def test_no_cluster_is_started_where_none_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    connected.cache_clear()
    monkeypatch.setenv("RAY_TMPDIR", "/nonexistent")  # where clusters of this machine would be found
    with pytest.raises(UserError, match="no Ray cluster answers at"):
        compute_of(ComputeSettings(engine="ray", address=address if address == "auto" else f"{address}:{free_port()}"))
    assert not ray.is_initialized()
