"""What every stage has in common: a function over tables, when it must run again, and how Dagster shows it.

A stage is a plain function from a `Context` to a `Product`. The same object serves the command line (`is_current`,
`materialise`) and Dagster (`to_asset`). What a stage computes belongs to its own module and to `models/` and
`warehouse/`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl

from assets.asset_metadata import column_lineage, column_schema, preview
from assets.partitions import BENCHMARK, CORPORA, partition_keys
from warehouse.compute import Compute, compute_of
from warehouse.home import Home, UserError, digest
from warehouse.home_lock import held_together
from warehouse.progress import counter
from warehouse.registry import Registry, read_registry
from warehouse.schema import TABLES
from warehouse.shards import awaits_another_try
from warehouse.store import WHOLE, Manifest, Shard, Store

OWNERS = ["team:sdaie"]
FORCE_TAG = "sdaie/force"
"""A run with this tag makes its assets anew though they are current."""
HOLDER_TAG = "sdaie/started_by"
"""A run with this tag is of a process that holds the home's lock already."""
Partitioned = Literal["corpora", "benchmark"]
_DEFINITIONS = {"corpora": CORPORA, "benchmark": BENCHMARK}


@dataclass(frozen=True)
class Context:
    """What a stage works with: the home, its tables and registry, its partition, and ways to speak and to start.

    `force`: finished shards are not to be taken again. `version` is the stage's own, and goes into the digest of what
    its shards are made from.
    """

    home: Home
    partition: str = WHOLE
    say: Callable[[str], None] = lambda message: None
    launch: Callable[[str, Mapping[str, Any]], None] | None = None
    force: bool = False
    version: int = 0

    @property
    def store(self) -> Store:
        """The tables of the home."""
        return Store(self.home.tables)

    @property
    def registry(self) -> Registry:
        """What is registered now."""
        return read_registry(self.home)

    @property
    def compute(self) -> Compute:
        """Where parallel work is done."""
        return compute_of(self.registry.compute, self.say)

    @property
    def here(self) -> Compute:
        """For work that does not leave this process."""
        return Compute(here=True, say=self.say)

    def benchmark_partitions(self) -> list[str]:
        """Every registered set and generator."""
        return partition_keys(self.home, "benchmark")

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A counter that says `what: done of all` every few seconds."""
        return counter(what, self.say)


@dataclass(frozen=True)
class Product:
    """What a stage made: its tables (rows, or shards written already) and plain numbers about them.

    `quarantine` maps a partition of the quarantine table to its shards or rows; `pictures` are Markdown, by title.
    """

    tables: Mapping[str, pl.DataFrame | Sequence[Shard]]
    numbers: Mapping[str, int | float | str] = field(default_factory=dict)
    quarantine: Mapping[str, pl.DataFrame | Sequence[Shard]] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One stage. Its first table is the one it is judged by; `settings` is all it depends on beside its upstream."""

    name: str
    description: str
    group: str
    tables: tuple[str, ...]
    upstream: tuple["Stage", ...]
    function: Callable[[Context], Product]
    version: int
    settings: Callable[[Context], object]
    partitioned: Partitioned | None
    external: tuple[str, ...]
    kinds: frozenset[str]
    files: Callable[[Context], Iterable[Path]]
    table_partition: str
    eager: bool
    fresh_within: timedelta | None

    def store_partition(self, context: Context) -> str:
        """The partition of its tables that the stage writes in this context."""
        return context.partition if self.partitioned else self.table_partition

    def provenance(self, context: Context) -> dict[str, Any]:
        """What its tables would be made from now. Raises UserError naming an upstream stage that has not run."""
        inputs: dict[str, str] = {}
        for stage in self.upstream:
            for partition in self._upstream_partitions(stage, context):
                for table in stage.tables:
                    manifest = context.store.manifest(table, partition)
                    if manifest is None:
                        raise UserError(f"{self.name} needs {_not_there(stage, table, partition, context.store)}")
                    inputs[f"{table}/{partition}"] = manifest.digest
        made_from = {"version": self.version, "settings": self.settings(context), "inputs": inputs}
        # As a manifest gives it back: tuples become lists.
        provenance: dict[str, Any] = json.loads(json.dumps(made_from))
        return provenance

    def is_current(self, context: Context) -> bool:
        """Whether its tables and files are what a run would make again, and nothing it refused is to be tried again."""
        manifest = context.store.manifest(self.tables[0], self.store_partition(context))
        if manifest is None:
            return False
        try:
            return (
                manifest.provenance == self.provenance(context)
                and all(path.exists() for path in self.files(context))
                and not any(
                    awaits_another_try(context.store, table, self.store_partition(context)) for table in self.tables
                )
            )
        except UserError:
            return False

    def materialise(self, context: Context) -> tuple[Manifest, Product]:
        """Run the function and commit its tables and its quarantine together, the first table last.

        Raises UserError where another run has committed them since this one began.
        """
        store, table, partition = context.store, self.tables[0], self.store_partition(context)
        # Before anything is read: what another run commits from here on was not seen.
        after = store.generation(table, partition)
        provenance = self.provenance(context)
        product = self.function(replace(context, version=self.version))
        beside = [
            Manifest("quarantine", name, _shards(store, "quarantine", rows, name), {})
            for name, rows in product.quarantine.items()
        ]
        for other in reversed(self.tables[1:]):
            shards = _shards(store, other, product.tables[other], partition)
            beside.append(Manifest(other, partition, shards, provenance))
        shards = _shards(store, table, product.tables[table], partition)
        manifest = store.commit(table, shards, partition=partition, provenance=provenance, beside=beside, after=after)
        return manifest, product

    def _upstream_partitions(self, stage: "Stage", context: Context) -> list[str]:
        if stage.partitioned is None:
            return [stage.table_partition]
        if stage.partitioned == self.partitioned:
            return [context.partition]
        return partition_keys(context.home, stage.partitioned)


def _not_there(stage: Stage, table: str, partition: str, store: Store) -> str:
    where = f"{stage.name} (partition {partition})" if stage.partitioned else stage.name
    other = store.other_version(table, partition)
    if other is None:
        return f"{where}, which has not run yet"
    versions = f"version {other} of table {table}, this one reads {TABLES[table].version}"
    return f"{where}, which another release of sdaie wrote ({versions}): `sdaie run` makes it anew"


def stage(
    *,
    group: str,
    tables: Sequence[str],
    upstream: Sequence[Stage] = (),
    version: int = 1,
    settings: Callable[[Context], object] = lambda context: None,
    partitioned: Partitioned | None = None,
    external: Sequence[str] = (),
    kinds: Iterable[str] = ("parquet",),
    files: Callable[[Context], Iterable[Path]] = lambda context: (),
    table_partition: str = WHOLE,
    eager: bool = False,
    fresh_within: timedelta | None = None,
) -> Callable[[Callable[[Context], Product]], Stage]:
    """Make a stage of a function; its name and docstring become the asset's name and description.

    `external` names assets that come first and are no tables of the upstream; `files` are paths that must exist for the
    stage to be current; `table_partition` is the partition an unpartitioned stage writes where several share a table.
    `eager`: it is cheap, so the daemon runs it whenever what it is made from was made anew. Dagster calls the asset
    overdue where it was not materialised for `fresh_within`, and warns after a quarter of that.
    """

    def decorate(function: Callable[[Context], Product]) -> Stage:
        return Stage(
            name=function.__name__,
            description=" ".join((function.__doc__ or "").split()),
            group=group,
            tables=tuple(tables),
            upstream=tuple(upstream),
            function=function,
            version=version,
            settings=settings,
            partitioned=partitioned,
            external=tuple(external),
            kinds=frozenset(kinds),
            files=files,
            table_partition=table_partition,
            eager=eager,
            fresh_within=fresh_within,
        )

    return decorate


def to_asset(stage: Stage) -> dg.AssetsDefinition:
    """The Dagster asset of a stage: materialising one that is current already says so and does nothing."""

    @dg.asset(
        name=stage.name,
        description=stage.description,
        group_name=stage.group,
        kinds=set(stage.kinds),
        owners=OWNERS,
        code_version=str(stage.version),
        deps=[dg.AssetKey(name) for name in (*(u.name for u in stage.upstream), *stage.external)],
        partitions_def=_DEFINITIONS[stage.partitioned] if stage.partitioned else None,
        metadata={"dagster/column_schema": column_schema(stage.tables[0])},
        automation_condition=dg.AutomationCondition.eager() if stage.eager else None,
        pool="training" if "torch" in stage.kinds else None,
        freshness_policy=_freshness(stage),
    )
    def materialise(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        partition = context.partition_key if stage.partitioned else WHOLE

        def launch(module: str, extras: Mapping[str, Any]) -> None:
            # The process ends when this one does, and has to know which that is.
            client = dg.PipesSubprocessClient(env={"SDAIE_PARENT_PID": str(os.getpid())})
            ended = client.run(context=context, command=[sys.executable, "-m", module], extras=dict(extras))
            for message in ended.get_custom_messages():
                raise UserError(message["error"])

        force = context.run.tags.get(FORCE_TAG) == "true"
        work = Context(Home.find(), partition, context.log.info, launch, force)
        try:
            held = HOLDER_TAG in context.run.tags
            with nullcontext() if held else held_together(work.home, context.log.info):
                started = time.monotonic()
                manifest: Manifest | None
                if not force and stage.is_current(work):
                    manifest = work.store.manifest(stage.tables[0], stage.store_partition(work))
                    assert manifest is not None
                    return _result(stage, work, manifest, {"unchanged": 1})
                manifest, product = stage.materialise(work)
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        seconds = time.monotonic() - started
        rate = {"rows_per_second": round(manifest.rows / seconds, 1)} if seconds else {}
        numbers = {**product.numbers, "seconds": round(seconds, 2), **rate}
        return _result(stage, work, manifest, numbers, product.pictures)

    return materialise


def _freshness(stage: Stage) -> dg.FreshnessPolicy | None:
    within = stage.fresh_within
    return None if within is None else dg.FreshnessPolicy.time_window(fail_window=within, warn_window=within / 4)


def _result(
    stage: Stage,
    context: Context,
    manifest: Manifest,
    numbers: Mapping[str, int | float | str],
    pictures: Mapping[str, str] | None = None,
) -> dg.MaterializeResult[None]:
    table, partition = stage.tables[0], stage.store_partition(context)
    # What a person opens lies in the home itself; weights, deeper.
    files = [path for path in stage.files(context) if path.parent == context.home.path]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": manifest.rows,
            "dagster/column_schema": column_schema(table),
            "dagster/column_lineage": column_lineage(table, {each.name: each.tables[0] for each in stage.upstream}),
            "path": dg.MetadataValue.path(str(context.store.folder(table, partition))),
            **{path.name: dg.MetadataValue.url(path.as_uri()) for path in files},
            "table_version": TABLES[table].version,
            "preview": dg.MetadataValue.md(preview(context.store, table, partition)),
            **dict(numbers),
            **{title: dg.MetadataValue.md(picture) for title, picture in (pictures or {}).items() if picture},
        },
        data_version=dg.DataVersion(_data_version(stage, context, manifest)),
    )


def _data_version(stage: Stage, context: Context, manifest: Manifest) -> str:
    """What downstream stages depend on: of a stage with several tables, all of them."""
    others = [context.store.manifest(table, stage.store_partition(context)) for table in stage.tables[1:]]
    return digest([manifest.digest, *(other and other.digest for other in others)]) if others else manifest.digest


def _shards(store: Store, table: str, rows: pl.DataFrame | Sequence[Shard], partition: str) -> tuple[Shard, ...]:
    return (store.write_shard(table, rows, partition=partition),) if isinstance(rows, pl.DataFrame) else tuple(rows)
