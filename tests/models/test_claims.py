from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from models.bootstrap import Estimate
from models.camera_statistics import COUNT, TooSmallError
from models.claims import Claims, calibrate
from models.plausibility import Claimed
from models.pretext import CATEGORICAL, PretextHeads, Vocabulary
from models.swaps import JOINT
from models.tag_readers import HeadsReader, StatisticsReader, TagReader, reader_of
from models.tag_regression import fit_tags
from models.weights import Header, LoadedBackbone, untrained
from tests.models.claimed_photographs import VOCABULARY, WIDTHS, photographs

Image = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def image(seed: int, side: int = 140) -> Image:
    return np.random.default_rng(seed).integers(256, size=(side, side, 3)).astype(np.uint8)


def heads_reader() -> HeadsReader:
    backbone = untrained("compact", seed=4)
    heads = PretextHeads(backbone.config.dimension, VOCABULARY).eval()
    for parameter in heads.parameters():
        nn.init.normal_(parameter, std=0.1)
    header = Header("trained", "compact", backbone.config, VOCABULARY, {"score": 1}, {"of": "training"})
    return HeadsReader.of(LoadedBackbone(backbone.eval(), heads, header))


def statistics_reader() -> StatisticsReader:
    made = photographs()
    statistics = np.random.default_rng(5).normal(size=(len(made.claimed), COUNT))
    return StatisticsReader(fit_tags(statistics, made.claimed, made.groups, VOCABULARY))


@pytest.fixture(scope="module", params=[heads_reader, statistics_reader])
def claims(request: pytest.FixtureRequest) -> Claims:
    make: Callable[[], TagReader] = request.param
    made = photographs()
    return calibrate(make(), made.outputs, made.claimed, made.groups, {"iso": Estimate(0.6, 0.51, 0.7)})


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
    with pytest.raises(TooSmallError, match="a side under 128 px"):
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
    assert again.reader.kind == claims.reader.kind


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:100], lambda b: b[:-8], lambda b: b"\0" * 64])
def test_a_damaged_file_is_named(claims: Claims, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(ValueError, match="no file of claims"):
        Claims.from_bytes(damage(claims.to_bytes()))


def test_a_reader_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing of kind 'tea leaves' is known"):
        reader_of({"kind": "tea leaves"}, {})


def test_heads_without_names_read_nothing() -> None:
    named = heads_reader()
    with pytest.raises(ValueError, match="heads without names"):
        HeadsReader.of(LoadedBackbone(named.backbone, None, named.header))
    # What training measured is no part of the file.
    assert dict(named.header.metrics) == {}


@pytest.mark.parametrize("make", [heads_reader, statistics_reader])
def test_each_picture_is_read_by_itself(make: Callable[[], TagReader]) -> None:
    reader = make()
    squares = np.random.default_rng(3).integers(256, size=(20, 128, 128, 3)).astype(np.uint8)
    together = reader([squares[:3], squares[3:19], squares[19:]])
    assert together.shape == (3, sum(WIDTHS))
    assert reader([squares[3:19]])[0] == pytest.approx(together[1], abs=1e-4)


def test_a_vocabulary_without_a_class_is_stored() -> None:
    vocabulary = Vocabulary({**dict.fromkeys(CATEGORICAL, ("a", "b")), "flash": ()})
    claimed = Claimed.of([{"iso": 100.0}, {"iso": 200.0}], vocabulary)
    statistics = np.random.default_rng(0).normal(size=(2, COUNT))
    reader = StatisticsReader(fit_tags(statistics, claimed, np.array(["a", "b"]), vocabulary))
    facts, arrays = reader.stored()
    again = reader_of(facts, arrays)
    assert again.vocabulary == vocabulary
    squares = [image(0)[None, :128, :128]]
    assert again(squares) == pytest.approx(reader(squares), abs=1e-5)
