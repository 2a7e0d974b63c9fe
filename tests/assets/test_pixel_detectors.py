"""How detectors of others are found, and what is said where they cannot be."""

import sys

import pytest

from assets.pixel_detectors import IN_THE_BOX, pixel_detectors
from tests.assets.small_home import SmallHome
from warehouse.home import UserError

CLASS = "class Mine:\n    name = 'mine'\n    version = '1'\n    def score(self, images): return [0.0 for _ in images]\n"


def test_a_class_in_the_home_is_known_by_its_registered_name(small: SmallHome) -> None:
    small.plug_in("bright")
    small.register("[detectors.mine]\nclass = 'bright:Brightness'\n")
    names = [detector.name for detector in pixel_detectors(small.context())]
    assert names == [*IN_THE_BOX, "mine"]
    assert sys.path[-1] == str(small.home.path)


def test_a_module_of_the_environment_comes_before_one_of_the_home(small: SmallHome) -> None:
    (small.home.path / "colorsys.py").write_text(CLASS)
    small.register("[detectors.mine]\nclass = 'colorsys:Mine'\n")
    with pytest.raises(UserError, match="module 'colorsys' has no attribute 'Mine'"):
        pixel_detectors(small.context())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "AttributeError: module 'broken' has no attribute 'Mine'"),
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("def Mine(: pass\n", "SyntaxError"),
        (CLASS + "    def __init__(self): raise OSError('no weights')\n", "OSError: no weights"),
        (CLASS + "    def __init__(self, path): pass\n", "missing 1 required positional argument"),
        (CLASS.replace("name =", "label ="), "has no name"),
        (CLASS.replace("'1'", "1"), "has no version"),
        (CLASS.replace("def score", "def judge"), "has no method score"),
        (CLASS + "    threshold = 'high'\n", "its threshold is 'high'"),
        (CLASS + "    threshold = float('nan')\n", "its threshold is nan"),
    ],
)
def test_what_cannot_be_loaded_is_named_in_one_sentence(small: SmallHome, code: str, said: str) -> None:
    (small.home.path / "broken.py").write_text(code)
    small.register("[detectors.mine]\nclass = 'broken:Mine'\n")
    with pytest.raises(UserError) as raised:
        pixel_detectors(small.context())
    sentence = str(raised.value)
    assert sentence.startswith("[detectors.mine]")
    assert said in sentence
    assert "\n" not in sentence


def test_a_module_that_is_not_there_is_named(small: SmallHome) -> None:
    small.register("[detectors.mine]\nclass = 'nowhere.to_be:Found'\n")
    with pytest.raises(UserError, match=r"\[detectors.mine\].*No module named 'nowhere'"):
        pixel_detectors(small.context())
