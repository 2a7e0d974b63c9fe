"""All stages in the order they run, and the asset specs of what lies outside the pipeline."""

import dagster as dg

from assets.backbone import backbone, pretext_targets, untrained_backbone
from assets.benchmark_extremes import benchmark_extremes
from assets.benchmark_features import benchmark_features
from assets.benchmark_images import benchmark_images
from assets.benchmark_metrics import benchmark_calibration, benchmark_comparisons, benchmark_metrics
from assets.benchmark_scores import benchmark_scores
from assets.binary import binary_networks
from assets.binary_images import binary_crops, binary_images
from assets.camera_statistics import camera_statistics
from assets.champion_before import champion_before
from assets.coding import coding
from assets.corpus import photos, splits
from assets.crawl import files
from assets.crops import crops
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
from assets.promotion import challenger, champion
from assets.publication import catalogue, report
from assets.reconstruction import autoencoders, reconstruction
from assets.reconstruction_pairs import reconstruction_pairs
from assets.reference_crops import reference_crops
from assets.score_tables import table_scores
from assets.square_detectors import square_detectors
from assets.square_features import square_features
from assets.square_logits import square_logits
from assets.stage import OWNERS, Stage

STAGES: tuple[Stage, ...] = (
    files,
    photos,
    splits,
    exif_raw,
    exif,
    exif_second_opinion,
    crops,
    pretext_targets,
    backbone,
    untrained_backbone,
    camera_statistics,
    binary_images,
    binary_crops,
    binary_networks,
    reference_crops,
    autoencoders,
    reconstruction,
    coding,
    reference_features,
    detectors,
    square_features,
    square_logits,
    reconstruction_pairs,
    square_detectors,
    champion_before,
    pretext_outputs,
    exif_claims,
    reference_pixel_scores,
    other_detectors,
    photo_hashes,
    benchmark_images,
    benchmark_hashes,
    benchmark_features,
    benchmark_pixel_scores,
    benchmark_scores,
    table_scores,
    format_rule,
    near_duplicates,
    benchmark_metrics,
    benchmark_comparisons,
    benchmark_calibration,
    benchmark_extremes,
    challenger,
    champion,
    drift,
    catalogue,
    report,
)
GROUPS = tuple(dict.fromkeys(stage.group for stage in STAGES))

EXTERNAL = (
    dg.AssetSpec(
        "photographs",
        description="The registered corpora: folders or tables of photographs, as `sdaie.toml` names them.",
        group_name="corpus",
        kinds={"jpeg"},
        owners=OWNERS,
    ),
    dg.AssetSpec(
        "benchmark_sets",
        description="The registered benchmark sets: photographs and generated images, as `sdaie.toml` names them.",
        group_name="benchmark",
        kinds={"jpeg"},
        owners=OWNERS,
    ),
)
