import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.complexity import complexity
from models.description import PUBLISHED_SIDE, TOO_FEW_PATCHES, describe
from models.features import extract
from models.patches import all_patches, spread_patches
from models.tracks import AS_SHIPPED, FORMAT_MATCHED, SMALLER_THAN_256
from models.weights import untrained

RNG = np.random.default_rng(0)
TRAINED, OTHER = untrained("compact", 1), untrained("compact", 2)


def image(height: int, width: int) -> npt.NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_features_are_those_of_the_images_patches() -> None:
    pictures = [image(300, 420), image(256, 256)]
    described = describe(pictures, AS_SHIPPED, [TRAINED, OTHER])
    for picture, said in zip(pictures, described, strict=True):
        assert said.reason is None
        assert said.complexity == complexity(picture)
        assert said.patches == len(spread_patches(picture))
        for backbone, mean in zip((TRAINED, OTHER), said.token_mean, strict=True):
            assert np.allclose(mean, extract(backbone, [spread_patches(picture)]).token_mean[0], atol=1e-5)
        assert said.token0 is not None
        assert np.allclose(said.token0, extract(TRAINED, [all_patches(picture)]).token0[0], atol=1e-5)


def test_an_image_that_cannot_be_judged_has_a_reason_and_the_others_their_features() -> None:
    small, tiny, whole = image(200, 300), image(70, 100), image(256, 300)
    matched = describe([small, whole], FORMAT_MATCHED, [TRAINED])
    assert [said.reason for said in matched] == [SMALLER_THAN_256, None]
    shipped = describe([tiny, small], AS_SHIPPED, [TRAINED])
    assert [said.reason for said in shipped] == [TOO_FEW_PATCHES, None]
    assert shipped[0].token_mean == ()
    assert shipped[0].token0 is None


def test_nothing_to_judge_is_no_error() -> None:
    assert describe([], AS_SHIPPED, [TRAINED]) == []


@pytest.mark.parametrize("track", [AS_SHIPPED, FORMAT_MATCHED])
def test_a_camera_file_costs_no_more_than_its_centre(track: str) -> None:
    large = image(PUBLISHED_SIDE + 100, PUBLISHED_SIDE + 300)
    centre = large[50 : 50 + PUBLISHED_SIDE, 150 : 150 + PUBLISHED_SIDE]
    with torch.inference_mode():
        one, two = describe([large], track, [TRAINED])[0], describe([centre], track, [TRAINED])[0]
    assert one.token0 is not None
    assert two.token0 is not None
    assert np.allclose(one.token0, two.token0, atol=1e-5)
