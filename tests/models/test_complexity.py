import numpy as np
import pytest
from scipy.signal import convolve2d

from models.complexity import complexity

SQ3 = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4


@pytest.mark.parametrize("shape", [(3, 3), (40, 31), (257, 64), (258, 5), (259, 64), (700, 20)])
def test_is_the_mean_absolute_sq3_residual_of_luma(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert complexity(image) == pytest.approx(np.abs(convolve2d(luma, SQ3, "valid")).mean(), rel=1e-12)


def test_flat_and_sloping_images_have_none_and_noise_has_more() -> None:
    flat = np.full((50, 50, 3), 90, np.uint8)
    slope = np.repeat(np.arange(50, dtype=np.uint8)[:, None, None], 50, axis=1).repeat(3, axis=2)
    noise = np.random.default_rng(0).normal(size=flat.shape)
    assert complexity(flat) == 0
    assert complexity(slope) == 0
    assert 0 < complexity((90 + 2 * noise).astype(np.uint8)) < complexity((90 + 8 * noise).astype(np.uint8))


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="3 x 3"):
        complexity(np.zeros((2, 9, 3), np.uint8))
