"""The jobs a person starts from the Dagster UI: parts of the chain with one kind of partition each."""

from typing import Any

import dagster as dg

from assets.chain import STAGES


def _job(name: str, description: str, groups: set[str], partitioned: str | None) -> Any:
    stages = [stage.name for stage in STAGES if stage.group in groups and stage.partitioned == partitioned]
    return dg.define_asset_job(
        name,
        dg.AssetSelection.assets(*stages),
        description=description,
    )


JOBS = [
    _job("crawl", "Find the photographs of a corpus (choose its partition).", {"corpus"}, "corpora"),
    _job("ingest", "Photographs, folds and EXIF of all crawled corpora.", {"corpus", "exif"}, None),
    _job(
        "train",
        "Crops, targets, backbone, binary detector, and the detectors on features and pixels.",
        {"training", "detection"},
        None,
    ),
    _job("score", "Score a generator of a benchmark set (choose its partition).", {"benchmark"}, "benchmark"),
    _job("publish", "Metrics, catalogue and report.", {"benchmark", "publication"}, None),
]
