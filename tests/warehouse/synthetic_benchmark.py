"""Detectors, scores and metrics as a whole run leaves them: invented numbers in every table after the backbone."""

import hashlib
import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from warehouse.schema import TABLES
from warehouse.store import Store

Rows = list[dict[str, Any]]

FAMILY = "binary"
"""In `DETECTORS` a family of several members, each trained on all generators but one."""
DETECTORS = {
    "one_class": 0.14,
    "one_class_published": 0.04,
    "one_class_untrained": -0.02,
    FAMILY: 0.1,
    "complexity": -0.06,
    "jpeg_history": 0.02,
    "format_rule": -0.05,
}
LARGE = {"biggan": 30, "midjourney_v5": 24, "stable_diffusion_xl": 40, "stylegan2": 22}
SMALL = {"dalle_3": 6, "flux": 5}
GENERATORS = LARGE | SMALL | {"small_sets": sum(SMALL.values())}
TRACKS = ("format_matched", "as_shipped")
PERTURBATIONS = (
    *("none", "jpeg_95", "jpeg_90", "jpeg_75", "jpeg_60", "jpeg_50", "jpeg_30", "webp_80"),
    *("resize_0.25", "resize_0.5", "resize_0.75", "resize_1.5", "resize_2"),
    *("blur_0.5", "blur_1", "blur_2", "blur_3", "noise_2", "noise_5", "noise_10"),
    *("crop_0.75", "resize_0.5+jpeg_75"),
)
MAKES = ["Apple", "Canon", "Nikon", None]
# A name as found on strangers' disks: markup, quotes, a right-to-left mark, no end.
HOSTILE = "x/<script>alert('1')</script>\u202e\"&" + "long" * 40 + ".jpg"
BACKBONE = "b0a1c2d3e4f50617"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def rows_of(table: str, rows: Rows) -> pl.DataFrame:
    """Rows with the columns left out as null."""
    arrow = TABLES[table].arrow
    empty = pl.from_arrow(arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    return pl.DataFrame([{name: row.get(name) for name in arrow.names} for row in rows], schema=empty.schema)


def picture_of(number: int) -> bytes:
    """A small JPEG, 120 x 80 px."""
    across, down = np.meshgrid(np.arange(120), np.arange(80))
    pixels = np.stack([across * 2, down * 3, np.full_like(across, 20 * number % 256)], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()


def members_of(detectors: dict[str, float]) -> dict[str, tuple[str, float, str | None]]:
    """By name of the detector: its family, its skill, and the generator that it was not to see."""
    members: dict[str, tuple[str, float, str | None]] = {}
    for family, skill in detectors.items():
        if family == FAMILY:
            members |= {f"{FAMILY}_not_dev_{g}": (FAMILY, skill, g) for g in LARGE | SMALL}
        else:
            members[family] = (family, skill, None)
    return members


def metric_row(keys: dict[str, Any], auroc: float, n_fake: int) -> dict[str, Any]:
    half = 0.9 / np.sqrt(n_fake + 40)
    row = {**keys, "n_real": 180, "n_fake": n_fake, "left_out": 3, "tpr_at_1_fpr": max(0.0, (auroc - 0.45) / 3)}
    values = {
        "auroc": auroc,
        "auroc_equal_complexity": 0.5 + 0.8 * (auroc - 0.5),
        "average_precision": min(1.0, auroc + 0.02),
        "tpr_at_5_fpr": max(0.0, (auroc - 0.4) / 2),
        "accuracy_real": 0.94,
        "accuracy_fake": max(0.0, auroc - 0.45),
        "balanced_accuracy": 0.5 + max(0.0, auroc - 0.5) / 2,
    }
    for name, value in values.items():
        row |= {name: value, f"{name}_low": max(0.0, value - half), f"{name}_high": min(1.0, value + half)}
    return row


def loss_of(perturbation: str) -> float:
    """What a perturbation takes off AUROC: the more, the further from nothing."""
    kind, _, amount = perturbation.split("+")[0].partition("_")
    if kind in ("none", "webp", "crop"):
        return {"none": 0.0, "webp": 0.05, "crop": 0.01}[kind]
    strength = float(amount)
    if kind == "resize":
        return float(abs(np.log2(strength))) / 15
    return {"jpeg": (100 - strength) / 400, "blur": strength / 20, "noise": strength / 60}[kind]


def write_metrics(store: Store, detectors: dict[str, float], better: float = 0.0) -> None:
    """`benchmark_metrics`, with every AUROC higher by `better`."""
    random = np.random.default_rng(7)
    rows: Rows = []
    for (name, (_, skill, unseen)), track in product(members_of(detectors).items(), TRACKS):
        bonus = 0.0 if track == "format_matched" else 0.09
        level = {g: 0.0 if g == "all" else 0.2 * (random.random() - 0.5) for g in [*GENERATORS, "all"]}
        for perturbation in PERTURBATIONS if track == "format_matched" else ("none",):
            # What a member of the family was not to see is all it is measured on.
            counts = GENERATORS | {"all": sum((LARGE | SMALL).values()) if unseen is None else GENERATORS[unseen]}
            for generator, n_fake in counts.items():
                keys = {"detector": name, "dataset": "dev", "generator": generator, "track": track}
                keys |= {"perturbation": perturbation, "detector_id": sha(f"{name} {track}")[:16]}
                seen = unseen is not None and generator not in (unseen, "all")
                auroc = 0.55 + skill + bonus + level[generator] + better + 0.3 * seen
                row = metric_row(keys, max(0.3, auroc - loss_of(perturbation)), n_fake)
                rows.append(row | {"seen": seen})
    # A cell without an AUROC, as for a generator whose images could not be judged.
    rows[0] |= {"auroc": None, "auroc_low": None, "auroc_high": None, "tpr_at_1_fpr": None}
    store.write("benchmark_metrics", rows_of("benchmark_metrics", rows), partition="dev")


def write_benchmark(store: Store, simulated: bool, detectors: dict[str, float]) -> None:
    write_metrics(store, detectors)
    write_detectors(store, simulated, detectors)
    write_calibration(store, detectors)
    write_comparisons(store, detectors)
    write_images(store, simulated)
    write_scores(store, detectors)
    write_extremes(store)
    write_duplicates(store)


def write_detectors(store: Store, simulated: bool, detectors: dict[str, float]) -> None:
    rows: Rows = []
    networks: Rows = []
    for name, (family, _, unseen) in members_of(detectors).items():
        seen = "+".join(f"dev.{g}" for g in LARGE | SMALL if g != unseen) if unseen else None
        for track in TRACKS:
            row: dict[str, Any] = {
                "detector": name,
                "track": track,
                "detector_id": sha(f"{name} {track}")[:16],
                "family": family,
            }
            row |= {"seen": seen, "n_fit": 420, "n_calibration": 120, "false_positive_rate": 0.05, "threshold": 0.6}
            row |= {"threshold_from": "calibration", "simulated_only": simulated}
            row |= {"backbone": BACKBONE if "class" in name else None, "description": f"what {name} looks at"}
            if family == "jpeg_history":
                row |= {"threshold": None, "threshold_from": None, "false_positive_rate": None}
            rows.append(row)
        if unseen:
            network = {"detector": name, "network": sha(name)[:16], "backbone": BACKBONE, "seen": seen, "alpha": 0.05}
            network |= {"left_out": f"dev.{unseen}", "steps": 1200, "photographs": 180, "generated": 90}
            networks.append(network | {"validation_accuracy": 0.81})
    store.write("detectors", rows_of("detectors", rows))
    store.write("binary_networks", rows_of("binary_networks", networks))
    champion = {"detector": "one_class", "detector_id": sha("one_class format_matched")[:16]}
    store.write("champions", rows_of("champions", [champion]))


def write_calibration(store: Store, detectors: dict[str, float]) -> None:
    random = np.random.default_rng(8)
    rows: Rows = []
    scores: Rows = []
    for name, track in product(members_of(detectors), TRACKS):
        for origin, source, n in (("validation", "photos", 130), ("dev", "imagenet", 90), ("dev", "ffhq_jpeg_q75", 60)):
            for nominal in (0.01, 0.02, 0.05, 0.1):
                flagged = int(n * nominal * (0.8 + 1.2 * random.random()))
                rate = flagged / n
                counts = {"photographs": n, "flagged": flagged, "realised_fpr": rate}
                ends = {"realised_low": max(0.0, rate - 0.03), "realised_high": rate + 0.05}
                place = {"detector": name, "track": track, "origin": origin, "source": source}
                rows.append({**place, "nominal_fpr": nominal, **counts, **ends})
        # Folds 3 and 4 of the 60 photographs of the corpus; the first of each is flagged.
        for number in (n for n in range(60) if n % 5 >= 3):
            keys = {"detector": name, "track": track, "photo_id": sha(f"photo {number}"), "corpus": "photos"}
            said = {"score": random.random(), "p_value": random.random(), "flagged": number < 5}
            scores.append({**keys, "group": f"g{number % 10}", "fold": number % 5, **said})
    store.write("benchmark_calibration", rows_of("benchmark_calibration", rows))
    store.write("photo_scores", rows_of("photo_scores", scores))


def write_comparisons(store: Store, detectors: dict[str, float]) -> None:
    rows: Rows = []
    names = members_of(detectors)
    for detector, other in ((a, b) for a, b in product(names, names) if a < b):
        for generator, n_fake in {**GENERATORS, "all": sum((LARGE | SMALL).values())}.items():
            keys = {"dataset": "dev", "track": "format_matched", "generator": generator}
            difference = names[detector][1] - names[other][1]
            row = {**keys, "detector": detector, "other": other, "n_real": 180, "n_fake": n_fake}
            row |= {"difference": difference, "difference_low": difference - 0.05, "difference_high": difference + 0.05}
            rows.append(row | {"p_value": float(np.exp(-abs(difference) * 60))})
    store.write("benchmark_comparisons", rows_of("benchmark_comparisons", rows))


def images() -> Iterator[tuple[str, int, str]]:
    """Identity, label and generator of 60 images; the first two are too small for the headline track."""
    for number in range(60):
        label = number % 2
        yield sha(f"image {number}"), label, list(LARGE)[number // 2 % 4] if label else "real"


def write_images(store: Store, simulated: bool) -> None:
    random = np.random.default_rng(9)
    rows: Rows = []
    features: Rows = []
    for number, (identity, label, generator) in enumerate(images()):
        row = {"dataset": "dev", "image_id": identity, "uri": f"{number}.png", "label": label, "source": "imagenet"}
        rows.append(row | {"generator": generator, "simulated": simulated, "format": "PNG"})
        for track, backbone in product(TRACKS, (BACKBONE, "0f9e8d7c6b5a4938")):
            small = number < 2 and track == "format_matched"
            keys = {"dataset": "dev", "backbone": backbone, "track": track, "image_id": identity}
            facts = {"complexity": float(np.exp(1 + random.standard_normal())), "token0": [0.5, 1.0]}
            features.append({**keys, "perturbation": "none", **({"reason": "smaller_than_256"} if small else facts)})
    store.write("benchmark_images", rows_of("benchmark_images", rows), partition="dev.biggan")
    store.write("benchmark_features", rows_of("benchmark_features", features), partition="dev.biggan")


def write_scores(store: Store, detectors: dict[str, float]) -> None:
    random = np.random.default_rng(10)
    rows: Rows = []
    pixels: Rows = []
    for (name, (_, skill, _)), track in product(members_of(detectors).items(), TRACKS):
        for number, (identity, label, generator) in enumerate(images()):
            score = float(random.standard_normal() + 4 * label * skill)
            for perturbation in ("none", "jpeg_75") if track == "format_matched" else ("none",):
                small = number < 2 and track == "format_matched"
                keys = {"detector": name, "dataset": "dev", "image_id": identity, "track": track}
                keys |= {"perturbation": perturbation}
                said = {"score": None if small else score, "reason": "smaller_than_256" if small else None}
                judged = {} if small else {"p_value": float(random.random()), "flagged": score > 0.6}
                rows.append({**keys, "generator": generator, "label": label, **said, **judged})
                if name == "jpeg_history":
                    pixels.append({**keys, "detector_version": "1", **said})
    store.write("benchmark_scores", rows_of("benchmark_scores", rows), partition="dev.biggan")
    if pixels:
        store.write("pixel_scores", rows_of("pixel_scores", pixels), partition="dev.biggan")


def write_extremes(store: Store) -> None:
    rows: Rows = []
    for (label, side), place in product(product((0, 1), ("most", "least")), range(1, 7)):
        keys = {"dataset": "dev", "label": label, "side": side, "place": place}
        score = (place - 7) / 2 if side == "most" else (7 - place) / 2
        said = {"score": score, "p_value": 0.01 * place if side == "least" else 1 - 0.01 * place}
        what = {"image_id": sha(f"{keys}"), "generator": "biggan" if label else "real", "picture": picture_of(place)}
        rows.append({**keys, **what, "detector": "one_class", "track": "format_matched", **said})
    rows[-1] |= {"generator": HOSTILE, "picture": b"<svg onload=alert(1)>"}
    store.write("benchmark_extremes", rows_of("benchmark_extremes", rows))


def write_duplicates(store: Store) -> None:
    pair: dict[str, Any] = {"dataset": "dev", "image_id": sha("image 1"), "photo_id": sha("photo 1"), "uri": HOSTILE}
    pair |= {"generator": "biggan", "corpus": "photos", "photo_uri": "g1/1.jpg", "distance": 3}
    store.write("near_duplicates", rows_of("near_duplicates", [pair]))
    hashes = [{"content": sha("photo 1"), "dataset": "photos", "uri": "g1/1.jpg", "hash": "f0" * 8}]
    store.write("perceptual_hashes", rows_of("perceptual_hashes", hashes), partition="photos")
