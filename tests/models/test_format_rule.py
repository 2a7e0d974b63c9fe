import hashlib

import numpy as np
import pytest

from models.detector import FileFacts
from models.format_rule import class_balance, format_log_odds


def facts(number: int, kind: str = "JPEG", side: int = 512, quality: int | None = 90) -> FileFacts:
    image_id = hashlib.sha256(str(number).encode()).hexdigest()
    return FileFacts(image_id, kind, side, side, 50_000 + 13 * number, quality, "4:2:0" if quality else None)


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    fake, real = scores[labels == 1], scores[labels == 0]
    return float(((fake[:, None] > real).mean() + (fake[:, None] >= real).mean()) / 2)


def test_a_set_whose_files_give_it_away_is_told_without_a_pixel() -> None:
    labels = np.arange(120) % 2
    images = [facts(n, "PNG", quality=None) if label else facts(n) for n, label in enumerate(labels)]
    log_odds = format_log_odds(images, labels)
    assert auroc(labels, log_odds) == 1
    assert ((log_odds > class_balance(labels)) == (labels == 1)).all()


def test_the_quality_alone_gives_away_and_may_be_missing() -> None:
    labels = np.arange(160) % 2
    images = [facts(n, quality=75 if label else None if n % 4 else 95) for n, label in enumerate(labels)]
    assert auroc(labels, format_log_odds(images, labels)) == 1


def test_a_set_without_a_jpeg_is_told_by_size() -> None:
    labels = np.arange(60) % 2
    images = [facts(n, "PNG", 512 if label else 500, None) for n, label in enumerate(labels)]
    assert auroc(labels, format_log_odds(images, labels)) == 1


def test_no_image_is_judged_by_trees_that_saw_it() -> None:
    # The label is nowhere in the files, though a rule that saw these images could tell them by their size in bytes.
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(300) % 2)
    assert auroc(labels, format_log_odds([facts(n) for n in range(300)], labels)) == pytest.approx(0.5, abs=0.12)


def test_the_order_of_images_does_not_matter() -> None:
    labels = np.arange(90) % 3 == 0
    images = [facts(n, side=256 if n % 3 else 300 + n % 7) for n in range(90)]
    forward = format_log_odds(images, labels)
    assert np.array_equal(format_log_odds(images[::-1], labels[::-1]), forward[::-1])
    assert np.array_equal(format_log_odds(images, labels), forward)


def test_a_set_of_one_class_tells_nothing() -> None:
    assert np.isnan(format_log_odds([facts(n) for n in range(20)], np.zeros(20))).all()
    assert len(format_log_odds([], [])) == 0
    assert class_balance([0, 0, 1]) == pytest.approx(np.log(0.5))
