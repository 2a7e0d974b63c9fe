"""The two kinds of partition, both dynamic: one for each corpus, one for each benchmark set and generator.

The names belong here, and where they come from (the registry and what the benchmark sets list); the assets that are
cut by them belong to their own modules.
"""

from typing import Literal

import dagster as dg

from warehouse.benchmark_sets import generators
from warehouse.home import Home
from warehouse.registry import read_registry, resolve

CORPORA = dg.DynamicPartitionsDefinition(name="corpora")
BENCHMARK = dg.DynamicPartitionsDefinition(name="benchmark")


def partition_keys(home: Home, kind: Literal["corpora", "benchmark"]) -> list[str]:
    """The partitions that are registered now, in the order of registration: `NAME`, or `DATASET.GENERATOR`.

    Raises UserError where a benchmark set cannot be listed.
    """
    registry = read_registry(home)
    if kind == "corpora":
        return list(registry.corpora)
    return [
        f"{name}.{generator}"
        for name, dataset in registry.datasets.items()
        for generator in generators(resolve(home, dataset.source))
    ]


def synchronise(home: Home, instance: dg.DagsterInstance) -> None:
    """Make the instance's partitions those that are registered."""
    for definition in (CORPORA, BENCHMARK):
        name = definition.name
        assert name is not None
        wanted = partition_keys(home, "corpora" if definition is CORPORA else "benchmark")
        there = instance.get_dynamic_partitions(name)
        if missing := [key for key in wanted if key not in there]:
            instance.add_dynamic_partitions(name, missing)
        for key in set(there) - set(wanted):
            instance.delete_dynamic_partition(name, key)
