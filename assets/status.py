"""How a home stands: what it has read, who answers, what could not be used, and what the next run would make.

Asking the tables and the stages belongs here, without making anything. Asking Dagster for runs belongs to
`pipelines/history.py`, printing to `pipelines/cli_status.py`. Counts of rows come from manifests, so that a large home
answers too; of what has to be read only the columns needed are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.chain import STAGES
from assets.champions import HISTORY, decisions
from assets.partitions import partition_keys
from assets.stage import Context
from warehouse.benchmark_sets import REAL
from warehouse.champion import COMBINED, read_champion
from warehouse.home import Home
from warehouse.registry import read_registry
from warehouse.revisions import PHOTO, QUARANTINED
from warehouse.store import WHOLE, Store

SHOWN = (
    *("files", "photos", "exif", "crops", "detectors", "photo_scores"),
    *("benchmark_images", "benchmark_scores", "benchmark_metrics"),
)
"""The tables whose rows tell how far a home has come."""
_TOP = 5
Facts = dict[str, Any]


@dataclass(frozen=True)
class Due:
    """A stage that is not current: in how many of its partitions (of 1 where it has none)."""

    group: str
    stage: str
    partitions: Sequence[str]
    of: int


def corpora(home: Home) -> list[Facts]:
    """Of each registered corpus the files that are there, photographs, quarantined files and groups; None: not read."""
    store = Store(home.tables)
    found = []
    for name, corpus in read_registry(home).corpora.items():
        counts: Facts = dict.fromkeys(("files", "photographs", "quarantined", "groups"))
        if store.manifest("files", name):
            photo = pl.col("state") == PHOTO
            counts = _counted(
                store,
                "files",
                [name],
                files=pl.col("state").is_in([PHOTO, QUARANTINED]).sum(),
                photographs=pl.col("photo_id").filter(photo).n_unique(),
                quarantined=(pl.col("state") == QUARANTINED).sum(),
                groups=pl.col("group").filter(photo).n_unique(),
            )
        found.append({"corpus": name, **counts, "use": corpus.use})
    return found


def benchmark_sets(home: Home) -> list[Facts]:
    """Of each registered set its images by content, and the generators; None where none of it was read yet."""
    store = Store(home.tables)
    written = store.partitions("benchmark_images")
    found = []
    for name, dataset in read_registry(home).datasets.items():
        own = [partition for partition in written if partition.partition(".")[0] == name]
        counts: Facts = dict.fromkeys(("images", "photographs", "generators"))
        if own:
            counts = _counted(
                store,
                "benchmark_images",
                own,
                images=pl.col("image_id").n_unique(),
                photographs=pl.col("image_id").filter(label=0).n_unique(),
                generators=pl.col("generator").filter(pl.col("generator") != REAL).n_unique(),
            )
        found.append({"dataset": name, **counts, "use": dataset.use, "gate": dataset.gate})
    return found


def rows(home: Home) -> dict[str, int]:
    """Rows of the main tables that are there."""
    store = Store(home.tables)
    manifests = {table: [store.manifest(table, each) for each in store.partitions(table)] for table in SHOWN}
    return {table: sum(each.rows for each in known if each) for table, known in manifests.items() if known}


def quarantine(home: Home) -> tuple[int, list[Facts]]:
    """Files that did not go on, and the most frequent stages and reasons among them."""
    paths = Store(home.tables).paths("quarantine")
    if not paths:
        return 0, []
    table = pl.scan_parquet(paths)
    reasons = (
        table.group_by("stage", "reason")
        .agg(files=pl.struct("source", "uri").n_unique())
        .sort("files", "stage", "reason", descending=[True, False, False])
    )
    whole = table.select(pl.struct("source", "uri").n_unique()).collect().item()
    return int(whole), reasons.head(_TOP).collect().to_dicts()


def champion(home: Home) -> Facts | None:
    """Who answers, since when and by whose decision; None where the home has no champion.

    Raises UserError where the pointer is damaged.
    """
    identity = read_champion(home)
    if identity is None:
        return None
    past = decisions(Store(home.tables))
    made = next((each for each in reversed(past) if each.promoted and each.champion == identity), None)
    return {
        "detector": COMBINED,
        "detector_id": identity,
        "since": made.decided_at if made else None,
        "decision": made.decision if made else None,
        "by": made.by if made else None,
    }


def last_refusal(home: Home) -> Facts | None:
    """The newest decision where it refused a challenger, with the reasons that stood against it; None otherwise."""
    store = Store(home.tables)
    past = decisions(store)
    if not past or past[-1].promoted:
        return None
    against = store.read(HISTORY, [f"{past[-1].number:06d}"]).filter(~pl.col("passed")).sort("gate", "subject")
    return {
        "challenger": past[-1].challenger,
        "decided_at": past[-1].decided_at,
        "reasons": against.select("gate", "subject", "reason").to_dicts(),
    }


def drift(home: Home) -> list[Facts]:
    """What makes retraining due: the measures by which new photographs are others than the champion was made from."""
    due = Store(home.tables).read("drift", columns=["measure", "subject", "due", "reason"]).filter("due")
    return due.sort("measure", "subject").drop("due").to_dicts()


def due(home: Home) -> list[Due]:
    """The stages that a run would begin with; making them may make others stale.

    A corpus on a network is listed for it. Raises UserError where a benchmark set cannot be listed.
    """
    found = []
    for stage in STAGES:
        partitions = partition_keys(home, stage.partitioned) if stage.partitioned else [WHOLE]
        stale = [each for each in partitions if not stage.is_current(Context(home, each))]
        if stale:
            found.append(Due(stage.group, stage.name, stale if stage.partitioned else [], len(partitions)))
    return found


def _counted(store: Store, table: str, partitions: list[str], **counts: pl.Expr) -> Facts:
    return pl.scan_parquet(store.paths(table, partitions)).select(**counts).collect().to_dicts()[0]
