import numpy as np
import pytest
from torch import nn

from models.bootstrap import Estimate
from models.claims import Claims, TooSmallError, calibrate, claim_patches, head_outputs, split_outputs
from models.pretext import TAGS, PretextHeads
from models.swaps import JOINT
from models.weights import Header, LoadedBackbone, untrained
from tests.models.claimed_photographs import VOCABULARY, WIDTHS, photographs


def image(seed: int, side: int = 140) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(256, size=(side, side, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def claims() -> Claims:
    backbone = untrained("compact", seed=4)
    heads = PretextHeads(backbone.config.dimension, VOCABULARY).eval()
    for parameter in heads.parameters():
        nn.init.normal_(parameter, std=0.1)
    header = Header("trained", "compact", backbone.config, VOCABULARY, {}, {"of": "training"})
    made = photographs()
    loaded = LoadedBackbone(backbone.eval(), heads, header)
    return calibrate(loaded, made.outputs, made.claimed, made.groups, {"iso": Estimate(0.6, 0.51, 0.7)})


def test_claims_of_which_the_pixels_tell_are_judged(claims: Claims) -> None:
    exif = {"iso": 800.0, "make": "a", "model": "unheard of", "orientation": 1}
    *single, together = claims.judge(image(0), exif)
    assert [(claim.tag, claim.claimed) for claim in single] == [("make", "a"), ("iso", 800.0)]
    assert (together.tag, together.claimed) == (JOINT, 2)
    assert all(0 < claim.p_value <= 1 for claim in [*single, together])
    assert single[1].auroc == Estimate(0.6, 0.51, 0.7)
    assert single[1].sentence.startswith("ISO 800: ")
    assert "no evidence" not in single[1].sentence
    # Of neither of these it was measured whether swapped metadata is told.
    assert single[0].sentence.startswith("maker a: no evidence, ")
    assert together.sentence.startswith("all 2 claims together: no evidence, ")
    assert single[0].auroc.value is None


def test_a_claim_no_camera_would_make_of_these_pixels_is_doubted(claims: Claims) -> None:
    wild = claims.judge(image(0), {"iso": 4e6})[0]
    assert wild.p_value < 0.02
    assert "the pixels speak against it" in wild.sentence


def test_without_claims_there_is_no_judgement(claims: Claims) -> None:
    assert claims.judge(image(0), {}) == []
    assert claims.judge(image(0), {"make": "unheard of", "iso": None}) == []


def test_a_small_image_is_refused(claims: Claims) -> None:
    with pytest.raises(TooSmallError, match="room for 1 patches"):
        claims.judge(image(0, side=100), {"iso": 100.0})


def test_p_values_of_new_photographs_keep_their_promise(claims: Claims) -> None:
    new = photographs(sources=100, seed=7)
    scores = claims.plausibility.joint(claims.plausibility.nonconformity(new.outputs, new.claimed))
    calibration = claims.calibration[JOINT]
    p_values = (1 + (calibration[None] >= scores[:, None]).sum(axis=1)) / (1 + len(calibration))
    for level in (0.05, 0.2, 0.5):
        assert (p_values <= level).mean() == pytest.approx(level, abs=0.05)


def test_the_file_returns_the_same_judgement_in_the_same_bytes(claims: Claims) -> None:
    content = claims.to_bytes()
    again = Claims.from_bytes(content)
    assert again.to_bytes() == content
    assert len(content) < 4 << 20
    exif = {"iso": 800.0, "make": "b"}
    assert again.judge(image(1), exif) == claims.judge(image(1), exif)
    assert again.sources == 20
    assert dict(again.header.metrics) == {}


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:100], lambda b: b[:-8], lambda b: b"\0" * 64])
def test_a_damaged_file_is_named(claims: Claims, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(ValueError, match="no file of claims"):
        Claims.from_bytes(damage(claims.to_bytes()))


def test_outputs_of_all_heads_stand_side_by_side(claims: Claims) -> None:
    together = head_outputs(claims.backbone, claims.heads, [claim_patches(image(0)), claim_patches(image(1, 200))])
    assert together.shape == (2, sum(WIDTHS))
    parts = split_outputs(together, VOCABULARY)
    assert [np.ndim(parts[tag]) for tag in TAGS] == [2] * 7 + [1] * 7
    assert np.array_equal(np.hstack([parts[tag].reshape(2, -1) for tag in TAGS]), together.astype(np.float64))
    with pytest.raises(ValueError, match="outputs"):
        split_outputs(together[:, 1:], VOCABULARY)
