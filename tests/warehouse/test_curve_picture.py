import base64
import io

import numpy as np
from PIL import Image

from warehouse.curve_picture import curve_markdown


def picture(markdown: str) -> Image.Image:
    data = markdown.removesuffix(")").partition("base64,")[2]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def blue_rows(image: Image.Image, columns: slice) -> float:
    pixels = np.asarray(image).astype(int)[40:165, columns]
    return float(np.argwhere(pixels[..., 2] - pixels[..., 0] > 60)[:, 0].mean())


def test_a_falling_curve_falls() -> None:
    image = picture(curve_markdown("loss", [0, 50, 100], [3.0, 2.0, 1.0]))
    assert image.size == (560, 200)
    assert blue_rows(image, slice(70, 120)) < 40 < 85 < blue_rows(image, slice(490, 540))


def test_a_flat_curve_and_a_single_point_are_no_mistake() -> None:
    assert picture(curve_markdown("loss", [0, 1], [2.0, 2.0])).size == (560, 200)
    assert curve_markdown("loss", [0], [2.0]) == ""
