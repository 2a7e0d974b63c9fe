"""Publication: the DuckDB catalogue and the HTML report, each built beside the old one and swapped in.

What the catalogue holds belongs to `warehouse/catalogue.py`, what the report shows to `warehouse/report.py`.
"""

from importlib.metadata import version

from assets.backbone import backbone, untrained_backbone
from assets.benchmark_extremes import benchmark_extremes
from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.benchmark_metrics import benchmark_calibration, benchmark_comparisons, benchmark_metrics
from assets.benchmark_scores import benchmark_scores
from assets.binary import binary_networks
from assets.binary_images import binary_images
from assets.camera_statistics import camera_statistics
from assets.champion_before import NAME, champion_before
from assets.champions import newest
from assets.corpus import photos, splits
from assets.crawl import files
from assets.detectors import detectors, reference_features
from assets.drift import drift
from assets.duplicates import benchmark_hashes, near_duplicates, photo_hashes
from assets.exif import exif
from assets.exif_claims import exif_claims
from assets.exif_raw import exif_raw
from assets.exif_second_opinion import exif_second_opinion
from assets.format_rule import format_rule
from assets.other_detectors import other_detectors
from assets.pixel_scores import benchmark_pixel_scores, reference_pixel_scores
from assets.pretext_outputs import pretext_outputs
from assets.promotion import challenger, champion, history_digest
from assets.score_tables import table_scores
from assets.square_detectors import square_detectors
from assets.square_features import square_features
from assets.stage import Context, Product, stage
from warehouse.champion import COMBINED, read_champion
from warehouse.home import digest
from warehouse.shards import frame

PUBLISHED = [
    *(files, photos, splits, exif_raw, exif, backbone, untrained_backbone, reference_features, detectors),
    *(photo_hashes, benchmark_images, benchmark_hashes, near_duplicates, benchmark_features, benchmark_scores),
    *(benchmark_metrics, benchmark_comparisons, benchmark_calibration, benchmark_extremes),
    *(binary_images, binary_networks, exif_second_opinion, camera_statistics, pretext_outputs, exif_claims),
    *(square_features, square_detectors, champion_before, challenger, champion, drift),
    *(reference_pixel_scores, other_detectors, benchmark_pixel_scores, table_scores, format_rule),
]


@stage(
    group="publication",
    tables=["publications"],
    upstream=PUBLISHED,
    settings=history_digest,
    kinds=["duckdb"],
    eager=True,
    files=lambda context: [context.home.catalogue],
    table_partition="catalogue",
)
def catalogue(context: Context) -> Product:
    """`catalogue.duckdb`: every result as a table or view with comments, and the ready queries; swapped atomically."""
    from warehouse.catalogue import build_catalogue

    build_catalogue(context.home, context.store)
    row = {"file": context.home.catalogue.name, "digest": digest(catalogue.provenance(context))}
    return Product({"publications": frame("publications", [row])}, {"bytes": context.home.catalogue.stat().st_size})


@stage(
    group="publication",
    tables=["publications"],
    upstream=[catalogue],
    kinds=["html"],
    eager=True,
    files=lambda context: [context.home.report],
    table_partition="report",
)
def report(context: Context) -> Product:
    """`report.html`: what was read, quarantined, learned and measured, in one self-contained page."""
    from warehouse.report import write_report

    # While the newest detector does not answer, the one that does is measured under another name.
    answers = COMBINED if read_champion(context.home) == newest(context.store) else NAME
    write_report(context.home, {"code_version": version("sdaie"), "champion": answers})
    row = {"file": context.home.report.name, "digest": digest(report.provenance(context))}
    return Product({"publications": frame("publications", [row])}, {"bytes": context.home.report.stat().st_size})
