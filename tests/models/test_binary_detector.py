from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.backbone import PRESETS
from models.binary import BinaryNetwork
from models.binary_detector import BinaryDetector
from models.detector import BenchmarkImage, Detector, FileFacts
from models.patches import all_patches
from models.weights import Header, load_binary, save_binary

FACTS = FileFacts("0" * 64, "PNG", 1, 1, 1, None, None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = BinaryNetwork(PRESETS["compact"])
    path = tmp_path_factory.mktemp("home") / "0123456789abcdef" / "binary.safetensors"
    save_binary(path, network, Header("trained", "compact", PRESETS["compact"], None, {}, {}))
    return path


def image(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def given(*pictures: NDArray[np.uint8]) -> list[BenchmarkImage]:
    return [BenchmarkImage(pixels, FACTS, "as_shipped", "none") for pixels in pictures]


def test_the_score_is_the_log_odds_of_generated_over_all_patches(path: Path) -> None:
    detector: Detector = BinaryDetector.load("binary", path)
    assert (detector.name, detector.version, BinaryDetector.threshold) == ("binary", "0123456789abcdef", 0.0)
    pictures = [image(64, 64), image(130, 200, 1), image(128, 192, 2), image(40, 90, 3)]
    scores = detector.score(given(*pictures))
    network = load_binary(path)
    for pixels, score in zip(pictures, scores, strict=True):
        patches = torch.tensor(all_patches(pixels)).permute(0, 3, 1, 2).float()[None] / 255
        with torch.inference_mode():
            share = network(patches).softmax(dim=1)[0, 1].item()
        assert 1 / (1 + np.exp(-score)) == pytest.approx(share, abs=1e-5)
    assert detector.score([]).shape == (0,)


def test_of_a_large_image_the_centre_counts(path: Path) -> None:
    detector = BinaryDetector.load("binary", path)
    whole = image(1100, 70)
    assert detector.score(given(whole)) == detector.score(given(whole[38 : 38 + 1024]))


def test_many_images_are_scored_as_each_alone(path: Path) -> None:
    detector = BinaryDetector.load("binary", path)
    pictures = [image(64, 64 * (1 + seed % 2), seed) for seed in range(40)]
    alone = [detector.score(given(pixels))[0] for pixels in pictures]
    assert detector.score(given(*pictures)) == pytest.approx(alone, abs=1e-5)
