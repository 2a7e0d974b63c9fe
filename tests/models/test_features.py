from __future__ import annotations

import numpy as np
import pytest
import torch

from models.features import CHUNK, extract
from models.weights import untrained


def images(counts: list[int], seed: int = 0) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(256, size=(count, 64, 64, 3), dtype=np.uint8) for count in counts]


def test_features_are_the_first_token_of_each_image_in_the_order_given() -> None:
    backbone = untrained("compact", seed=1)
    given = images([3, 1, 3, 5, CHUNK + 2])
    features = extract(backbone, given)
    assert features.token0.shape == (5, 136)
    assert features.token0.dtype == np.float32
    assert features.patches_per_second > 0
    for image, token0 in zip(given, features.token0, strict=True):
        with torch.no_grad():
            tokens = backbone(torch.from_numpy(image)[None].permute(0, 1, 4, 2, 3) / 255)[0]
        assert np.allclose(token0, tokens[0].numpy(), atol=1e-4)


def test_features_do_not_depend_on_the_company() -> None:
    backbone = untrained("compact", seed=1)
    given = images([4, 4, 4, 2, 7])
    together = extract(backbone, given)
    for index, image in enumerate(given):
        assert np.allclose(extract(backbone, [image]).token0[0], together.token0[index], atol=1e-4)
    assert np.array_equal(extract(backbone, given).token0, together.token0)


def test_extraction_leaves_the_backbones_mode_and_takes_no_images() -> None:
    backbone = untrained("compact", seed=1)
    assert extract(backbone, []).token0.shape == (0, 136)
    assert backbone.training


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 64, 64, 3), np.uint8), "no patch"),
        (np.zeros((2, 32, 64, 3), np.uint8), "image 0: patches"),
        (np.zeros((2, 64, 64, 3), np.float32), "float32"),
    ],
)
def test_other_shapes_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extract(untrained("compact", seed=1), [image])
