import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.complexity import complexity
from models.description import PUBLISHED_SIDE, TOO_FEW_PATCHES, Given, describe
from models.features import extract
from models.patches import all_patches
from models.perturbations import perturb
from models.tracks import AS_SHIPPED, FORMAT_MATCHED, SMALLER_THAN_256, apply_track
from models.weights import untrained

RNG = np.random.default_rng(0)
BACKBONE = untrained("compact", 1)


def image(height: int, width: int) -> npt.NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def given(*pictures: npt.NDArray[np.uint8]) -> list[Given]:
    return [Given(f"{number:064x}", picture) for number, picture in enumerate(pictures)]


def test_features_are_those_of_the_images_patches() -> None:
    pictures = [image(300, 420), image(256, 256)]
    for picture, said in zip(pictures, describe(given(*pictures), AS_SHIPPED, BACKBONE), strict=True):
        assert said.reason is None
        assert said.complexity == complexity(picture)
        assert said.token0 is not None
        assert np.allclose(said.token0, extract(BACKBONE, [all_patches(picture)]).token0[0], atol=1e-5)


def test_an_image_that_cannot_be_judged_has_a_reason_and_the_others_their_features() -> None:
    small, tiny, whole = image(200, 300), image(70, 100), image(256, 300)
    matched = describe(given(small, whole), FORMAT_MATCHED, BACKBONE)
    assert [said.reason for said in matched] == [SMALLER_THAN_256, None]
    shipped = describe(given(tiny, small), AS_SHIPPED, BACKBONE)
    assert [said.reason for said in shipped] == [TOO_FEW_PATCHES, None]
    assert shipped[0].token0 is None
    assert shipped[1].token0 is not None


def test_nothing_to_judge_is_no_error() -> None:
    assert describe([], AS_SHIPPED, BACKBONE) == []


@pytest.mark.parametrize("track", [AS_SHIPPED, FORMAT_MATCHED])
def test_a_camera_file_costs_no_more_than_its_centre(track: str) -> None:
    large = image(PUBLISHED_SIDE + 100, PUBLISHED_SIDE + 300)
    centre = large[50 : 50 + PUBLISHED_SIDE, 150 : 150 + PUBLISHED_SIDE]
    with torch.inference_mode():
        one, two = (describe(given(picture), track, BACKBONE)[0] for picture in (large, centre))
    assert one.token0 is not None
    assert two.token0 is not None
    assert np.allclose(one.token0, two.token0, atol=1e-5)


def test_what_is_said_of_an_image_does_not_depend_on_the_others() -> None:
    pictures = given(*(image(300, 300) for _ in range(7)), image(200, 500))
    together = describe(pictures, AS_SHIPPED, BACKBONE)
    for picture, said in zip(pictures, together, strict=True):
        alone = describe([picture], AS_SHIPPED, BACKBONE)[0]
        assert alone.token0 is not None
        assert said.token0 is not None
        assert np.array_equal(alone.token0, said.token0)


def test_a_perturbation_comes_after_the_track() -> None:
    (picture,) = given(image(300, 300))
    (said,) = describe([picture], FORMAT_MATCHED, BACKBONE, "resize_0.5")
    matched = apply_track(picture.pixels, FORMAT_MATCHED).image
    assert matched is not None
    assert said.complexity == complexity(perturb(matched, "resize_0.5", picture.sha256))
    assert describe([picture], FORMAT_MATCHED, BACKBONE, "resize_0.25")[0].reason == TOO_FEW_PATCHES
