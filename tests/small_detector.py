"""A small real detector and pictures for it: untrained covariances, fitted and calibrated on made textures."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from models.backbone import PRESETS, random_backbone
from models.combined import CombinedDetector, calibrate
from models.density import fit_density
from models.mixture import MixtureConfig
from models.parts import FeaturePart
from models.square_features import CovarianceFeatures
from models.squares import Squares, squares
from warehouse.home import Home, write_text

PHOTOGRAPHS = 40


def photograph(seed: int, height: int = 256, width: int = 256) -> npt.NDArray[np.uint8]:
    """A blurred texture with noise, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 215, size=(12, 12, 3), dtype=np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC).filter(
        ImageFilter.GaussianBlur(rng.uniform(1, 4))
    )
    noisy = np.asarray(smooth) + rng.normal(scale=rng.uniform(3, 9), size=(height, width, 3))
    return noisy.clip(0, 255).round().astype(np.uint8)


def jpeg(image: npt.NDArray[np.uint8], quality: int = 92, exif: Image.Exif | None = None) -> bytes:
    """An image as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, exif=exif or Image.Exif())
    return buffer.getvalue()


def small_detector(simulated_only: bool = False) -> CombinedDetector:
    """The detector; the same in every process."""
    return replace(_fitted(), facts={"simulated_only": simulated_only})


@cache
def _fitted() -> CombinedDetector:
    seen = [squares(photograph(seed)) for seed in range(2 * PHOTOGRAPHS)]
    one = MixtureConfig(components=1, dimension=16, shrinkage=0.5)
    part = untrained_part("one_class_untrained", seen[:PHOTOGRAPHS], one)
    return calibrate([part], seen[PHOTOGRAPHS:], name="textures", sources=PHOTOGRAPHS)


def untrained_part(name: str, fitting: Sequence[Squares], mixture: MixtureConfig, seed: int = 0) -> FeaturePart:
    """A part of untrained covariances, fitted on pictures of four sources, given as their squares."""
    features = CovarianceFeatures("compact", random_backbone(PRESETS["compact"], seed).eval())
    density = fit_density(
        np.concatenate([features(one.pixels) for one in fitting]),
        np.concatenate([one.covariates for one in fitting]),
        np.repeat(np.arange(len(fitting)) % 4, [len(one) for one in fitting]),
        [mixture],
    )
    return FeaturePart(name, features, density)


def small_home(path: Path, simulated_only: bool = False) -> Home:
    """A home whose champion is the small detector."""
    home = Home(path)
    folder = home.detectors / "small"
    folder.mkdir(parents=True)
    (folder / "detector.safetensors").write_bytes(small_detector(simulated_only).to_bytes())
    write_text(home.champion, json.dumps({"detector_id": "small"}))
    return home
