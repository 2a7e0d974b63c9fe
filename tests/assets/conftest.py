"""The small home that the tests of the stages after the corpus share."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.pixel_detectors import load_class
from tests.assets.small_home import FOLDS, IN_A_FOLD, SmallHome, picture


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallHome]:
    """20 photographs in five folds; a set of three photographs and three generated images, one of each too small.

    There are no detectors on squares, and no champion.
    """
    path = tmp_path / "home"
    path.mkdir()
    small = SmallHome(path)
    photos: list[dict[str, Any]] = []
    for number in range(FOLDS * IN_A_FOLD):
        uri = f"{number}.png"
        photo_id = picture(small.corpus / uri, number)
        common = {"corpus": "photographs", "use": "reference+train", "places": 1, "format": "PNG"}
        photos.append({"photo_id": photo_id, "uri": uri, "group": f"g{number % FOLDS}", **common})
    small.write("photos", photos)
    for table in ("detectors", "photo_scores"):
        small.write(table, [], "squares")
    small.write("detectors", [], "before")
    small.write("splits", [{"group": f"g{fold}", "fold": fold, "photos": IN_A_FOLD} for fold in range(FOLDS)])
    small.write("exif", [{"photo_id": row["photo_id"], "simulated": False, "edited": False} for row in photos])
    for empty in ("exif_issues", "binary_images", "binary_networks"):
        small.write(empty, [])
    for number in range(3):
        side = 100 if number == 2 else 260
        picture(small.set / "gan" / "0_real" / f"{number}.png", 100 + number, side)
        picture(small.set / "gan" / "1_fake" / f"{number}.png", 200 + number, side, level=230)
    before, loaded = list(sys.path), set(sys.modules)
    yield small
    sys.path[:] = before
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(path)):
            del sys.modules[name]
    load_class.cache_clear()
