"""A whole home that was copied elsewhere, its original gone, and that grew old: there is nothing to do in it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.assets.cleaned_home import age
from tests.end_to_end.conftest import Sdaie
from warehouse.home import Home


@pytest.mark.slow
def test_a_copy_answers_as_before_and_has_nothing_to_do_even_after_a_clean_up(
    finished: Home, sdaie: Sdaie, tmp_path: Path
) -> None:
    first = Home(shutil.copytree(finished.path, tmp_path / "first"))
    picture = str(next((finished.simulated / "corpus").rglob("*.jpg")))
    questions = (["query", "leaderboard", "--format", "json"], ["detect", "--json", picture])
    before = [sdaie(first.path, *words).stdout for words in questions]
    assert json.loads(before[0])
    copy = Home(shutil.copytree(first.path, tmp_path / "second"))
    shutil.rmtree(first.path)
    for cleaned in (False, True):
        if cleaned:
            age(copy, 30)
            said = sdaie(copy.path, "clean")
            assert said.returncode == 0, said.stderr
        assert [sdaie(copy.path, *words).stdout for words in questions] == before
        assert "nothing to do" in sdaie(copy.path, "run").stderr
