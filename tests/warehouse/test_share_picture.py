import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from warehouse.share_picture import Shares, shares_markdown, shares_png

LEFT, RIGHT, TOP, ROW = 170, 500, 36, 20


def pixels(shares: list[Shares]) -> npt.NDArray[np.int64]:
    with Image.open(io.BytesIO(shares_png("tags", shares))) as image:
        return np.asarray(image.convert("RGB")).astype(np.int64)


def length(row: npt.NDArray[np.int64]) -> float:
    """How far a bar reaches, as a share."""
    return float((row[LEFT:RIGHT].min(axis=1) < 240).sum() / (RIGHT - LEFT))


def test_bars_are_as_long_as_the_shares_and_what_is_marked_is_red() -> None:
    image = pixels([Shares("iso", 0.25, 0.75, True), Shares("flash", 1.0, 0.0, False), Shares("make", 0, 0.5, False)])
    assert image.shape == (TOP + 3 * ROW + 8, 560, 3)
    for row, (before, now) in enumerate([(0.25, 0.75), (1.0, 0.0), (0.0, 0.5)]):
        top = TOP + ROW * row
        assert abs(length(image[top + 3]) - before) < 0.01
        assert abs(length(image[top + 12]) - now) < 0.01
    red, blue = image[TOP + 12, LEFT + 20], image[TOP + 2 * ROW + 12, LEFT + 20]
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_the_picture_is_small_and_there_is_none_of_nothing() -> None:
    shares = [
        Shares(f"a_rather_long_tag_{number}", number / 14, 1 - number / 14, number % 2 == 0) for number in range(14)
    ]
    assert len(shares_png("Photographs without a tag, before (grey) and new", shares)) < 45_000
    assert shares_markdown("tags", []) == ""
    assert shares_markdown("tags", shares).startswith("![tags](data:image/png;base64,")
