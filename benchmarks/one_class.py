"""What fitting costs: a part that is a density given content, and the published protocol, on made numbers.

    python -m benchmarks.one_class [--images 10000] [--dimension 528]

Features are made: 40 hidden factors and noise, in groups of 50, a tenth more rows to calibrate on. The part
chooses terms and mixture on held-out groups and fits them; the baseline is the published protocol, five full
covariances. Seconds of both, their ratio and the peak memory of the process; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from models.content import COUNT
from models.density import fit_density
from models.one_class import CALIBRATION_FOLD, FIT_FOLDS, ReferenceFeatures, fit_one_class_published

GROUP = 50
FACTORS = 40


def made(images: int, dimension: int) -> ReferenceFeatures:
    """Features of `images` photographs to fit on and a tenth as many to calibrate on."""
    rng = np.random.default_rng(0)
    count = images + images // 10
    mixing = rng.normal(size=(FACTORS, dimension))
    features = rng.normal(size=(count, FACTORS)) @ mixing + rng.normal(size=(count, dimension))
    folds = np.where(np.arange(count) < images, FIT_FOLDS[0], CALIBRATION_FOLD)
    groups = np.arange(count) // GROUP + 10_000 * (folds == CALIBRATION_FOLD)
    return ReferenceFeatures(features.astype(np.float32), folds, groups)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="fitting the one-class detectors")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=528)
    asked = parser.parse_args()
    reference = {"format_matched": made(asked.images, asked.dimension)}
    started = time.perf_counter()
    fitting = np.isin(reference["format_matched"].folds, FIT_FOLDS)
    features = reference["format_matched"].features[fitting].astype(np.float64)
    covariates = np.random.default_rng(1).normal(size=(len(features), COUNT))
    fit_density(features, covariates, reference["format_matched"].groups[fitting])
    ours = time.perf_counter() - started
    print(f"density given content: {ours:.1f} s", flush=True)
    started = time.perf_counter()
    fit_one_class_published("one_class_published", "made", reference)
    published = time.perf_counter() - started
    print(f"one_class_published: {published:.1f} s")
    summary = {
        "images": asked.images,
        "dimension": asked.dimension,
        "seconds": round(ours, 1),
        "baseline_seconds": round(published, 1),
        "ratio": round(published / ours, 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
