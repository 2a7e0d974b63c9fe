import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from models.abstention import Abstention, blockiness
from models.combined import CombinedDetector
from models.images import decode_rgb
from models.squares import Squares, squares
from tests.small_detector import jpeg, photograph, small_detector

CORPUS = Path(__file__).parents[3] / "shared/corpus"
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def fitted() -> Abstention:
    return Abstention.fit([squares(photograph(seed)) for seed in range(60)])


def reason(fitted: Abstention, image: Pixels) -> str | None:
    found = fitted.reason(squares(image))
    return None if found is None else found.code


def screenshot() -> Pixels:
    page = Image.new("RGB", (640, 512), "white")
    brush = ImageDraw.Draw(page)
    for line in range(20, 500, 16):
        brush.text((20, line), "the window file news report image " * 3, fill="black")
    return np.asarray(page)


def test_few_of_other_photographs_are_set_aside(fitted: Abstention) -> None:
    codes = [reason(fitted, photograph(seed)) for seed in range(1000, 1040)]
    assert codes.count(None) >= 36


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: photograph(1, 100, 400), "too_small"),
        (lambda: photograph(1, 128, 384), "too_small"),
        (lambda: np.full((300, 300, 3), 128, dtype=np.uint8), "too_smooth"),
        (lambda: np.zeros((300, 300, 3), dtype=np.uint8), "clipped"),
        (lambda: np.full((300, 300, 3), 255, dtype=np.uint8), "clipped"),
        (lambda: np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8), "unfamiliar"),
        (lambda: screenshot(), None),
    ],
)
def test_what_is_unlike_photographs_has_its_reason(
    fitted: Abstention, make: Callable[[], Pixels], code: str | None
) -> None:
    found = reason(fitted, make())
    assert found == code or (code is None and found is not None)


def test_strong_compression_shows_at_the_edges_of_blocks(fitted: Abstention) -> None:
    image = photograph(3, 256, 384)

    def after(quality: int) -> Squares:
        return squares(decode_rgb(jpeg(image, quality)))

    steps = [blockiness(after(quality).pixels) for quality in (92, 50, 20, 5)]
    assert steps == sorted(steps)
    code = fitted.reason(after(5))
    assert code is not None
    assert code.code in ("too_compressed", "too_smooth")


def test_usable_squares_are_those_with_fine_structure(fitted: Abstention) -> None:
    image = photograph(5, 256, 512)
    image[:, :256] = 128
    assert fitted.usable(squares(image)).reshape(2, 4).tolist() == [[False, False, True, True]] * 2


def test_it_is_stored_with_the_detector() -> None:
    detector = small_detector()
    again = CombinedDetector.from_bytes(detector.to_bytes())
    assert again.to_bytes() == detector.to_bytes()
    assert detector.abstention is not None
    assert again.abstention is not None
    seen = squares(photograph(7))
    assert again.abstention.distance(seen) == detector.abstention.distance(seen)


def test_one_photograph_or_one_without_squares_is_refused() -> None:
    seen = squares(photograph(1))
    for few in ([seen], [seen, squares(photograph(1, 64, 64))]):
        with pytest.raises(ValueError, match="at least 2 photographs"):
            Abstention.fit(few)


def test_photographs_of_other_sources_are_judged() -> None:
    table = CORPUS / "photos_more.csv"
    if not table.is_file():
        pytest.skip(f"{table} not there")
    with table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    sources = sorted({row["repo"] for row in rows})
    halves: list[list[Squares]] = [[], []]
    for row in rows[::3]:
        with Image.open(CORPUS / row["file"]) as image:
            halves[sources.index(row["repo"]) % 2].append(squares(np.asarray(image.convert("RGB"))))
    fitted = Abstention.fit(halves[0])
    set_aside = [fitted.reason(seen) is not None for seen in halves[1]]
    assert np.mean(set_aside) < 0.15
