"""`sdaie status` as it is typed, on small homes that the chain itself made."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assets.champions import decide
from assets.status import due
from pipelines.cli import cli
from pipelines.cli_status import gathered
from pipelines.run import run
from tests.assets.scored_home import make_home, rows_of
from tests.assets.small_home import picture
from warehouse.home import Home, UserError
from warehouse.registry import Corpus, add_corpus
from warehouse.store import Store


def call(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.path), "status", *words])


def shown(home: Home) -> str:
    said = call(home)
    assert said.exit_code == 0, said.output
    return said.stdout


def contents(home: Home) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(home.path.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose corpus was read: three photographs and an empty file; then a run failed, since the folder went."""
    path = tmp_path_factory.mktemp("crawled")
    home = Home(path / "home")
    home.path.mkdir()
    for number in range(3):
        picture(path / "photographs" / f"group{number % 2}" / f"{number}.png", number)
    (path / "photographs" / "empty.jpg").touch()
    add_corpus(home, "mine", Corpus(source=str(path / "photographs")))
    (path / "later").mkdir()
    add_corpus(home, "later", Corpus(source=str(path / "later")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDAIE_HOME", str(home.path))
        (path / "later").rmdir()
        with pytest.raises(UserError):
            run(home, lambda said: None, groups=["corpus"])
        yield home


@pytest.fixture
def scored(tmp_path: Path) -> Home:
    """A home with a benchmark set, and no corpus and no runs."""
    home, _ = make_home(tmp_path, {"camera": 3}, {"gan": (2, None), "other": (2, None)}, lambda *asked: 0.5)
    return home


def test_a_home_with_nothing_registered_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert shown(home).startswith(f"nothing is registered in {home.path}: `sdaie corpus add")
    assert len(shown(home).splitlines()) == 1
    said = json.loads(call(home, "--json").stdout)
    assert (said["corpora"], said["champion"], said["runs"], said["due"]) == ([], None, [], [])
    assert not home.path.exists()


def test_corpora_runs_and_what_is_due_are_on_one_screen(crawled: Home) -> None:
    lines = shown(crawled).splitlines()
    assert len(lines) < 40
    assert lines[:3] == [
        "corpora                 files  photographs  quarantined       groups",
        "  mine                      4            3            1            2",
        "  later         not read yet",
    ]
    assert "rows            files 4" in lines
    assert "quarantine      1 files; most often: files empty 1" in lines
    assert "champion        none yet: `sdaie detect` answers with the detector in the box" in lines
    runs = lines.index("runs            the last 2")
    assert "sdaie run [later]: failure in" in lines[runs + 1]
    assert lines[runs + 2].startswith("    files: ")
    assert "no such file or folder" in lines[runs + 2]
    assert "sdaie run [mine]: success in" in lines[runs + 3]
    begin = lines.index("due             `sdaie run` would make:")
    assert lines[begin + 1] == "  corpus        files [later], photos, splits"
    assert any(line.startswith("  publication   catalogue, report") for line in lines[begin:])


def test_a_long_name_moves_the_columns(scored: Home, tmp_path: Path) -> None:
    add_corpus(scored, "a" * 40, Corpus(source=str(tmp_path / "dev")))
    head, row = shown(scored).splitlines()[:2]
    assert row == f"  {'a' * 40} not read yet"
    assert head == f"corpora{' ' * 44}files  photographs  quarantined       groups"


def test_looking_changes_nothing(crawled: Home) -> None:
    before = contents(crawled)
    assert call(crawled, "--json").exit_code == 0
    assert contents(crawled) == before


def test_the_object_has_what_the_screen_shows(crawled: Home) -> None:
    said = json.loads(call(crawled, "--json").stdout)
    mine, later = said["corpora"]
    assert mine == {
        "corpus": "mine",
        "files": 4,
        "photographs": 3,
        "quarantined": 1,
        "groups": 2,
        "use": ["train", "reference"],
    }
    assert later["files"] is None
    assert said["due"][0] == {"group": "corpus", "stage": "files", "partitions": ["later"], "of": 2}
    assert said["quarantine"] == {"files": 1, "reasons": [{"stage": "files", "reason": "empty", "files": 1}]}
    assert [(run["status"], run["partition"]) for run in said["runs"]] == [("failure", "later"), ("success", "mine")]
    assert said["runs"][0]["reasons"][0]["step"] == "files"


def test_what_is_current_is_not_due(crawled: Home) -> None:
    stages = {each.stage: each.partitions for each in due(crawled)}
    assert stages["files"] == ["later"]  # and not the other corpus
    assert stages["photos"] == []


def test_sets_without_a_corpus(scored: Home) -> None:
    before = contents(scored)
    lines = shown(scored).splitlines()
    assert lines[:2] == [
        "benchmark sets         images  photographs   generators         gate",
        "  dev                       7            3            2           no",
    ]
    assert "runs            no runs yet" in lines
    assert lines[-1] == "due             a corpus: `sdaie corpus add NAME SOURCE`"
    assert contents(scored) == before
    assert not scored.dagster.exists()


def test_a_set_that_is_a_gate_says_so(scored: Home) -> None:
    registry = scored.registry.read_text()
    scored.registry.write_text(registry.replace("gate = false", "gate = true"))
    assert shown(scored).splitlines()[1].endswith("yes")


def judged(passed: bool, gate: str, reason: str) -> dict[str, Any]:
    return {"gate": gate, "subject": "dev", "passed": passed, "reason": reason}


def test_the_champion_is_named_with_its_decision_and_who_was_refused_since(scored: Home) -> None:
    made = decide(scored, "promoted", "0" * 16, [judged(True, "headline_auroc", "0.93, and there was none before")])
    said = gathered(scored)
    assert said["champion"] == {
        "detector": "combined",
        "detector_id": "0" * 16,
        "since": made.decided_at,
        "decision": "promoted",
        "by": "pipeline",
    }
    assert said["refused"] is None
    assert f"champion        combined {'0' * 16}, promoted {made.decided_at}" in shown(scored).splitlines()
    reasons = [judged(False, "headline_auroc", "0.91 where 0.93 answers"), judged(True, "pretext_validation", "better")]
    refused = decide(scored, "refused", "1" * 16, reasons)
    said = gathered(scored)
    assert said["champion"]["since"] == made.decided_at
    assert said["refused"]["reasons"] == [
        {"gate": "headline_auroc", "subject": "dev", "reason": "0.91 where 0.93 answers"}
    ]
    line = f"refused         {'1' * 16} {refused.decided_at}: 0.91 where 0.93 answers"
    assert line in shown(scored).splitlines()


def test_a_champion_of_before_there_were_decisions_has_no_date(scored: Home) -> None:
    scored.champion.write_text('{"detector": "combined", "detector_id": "0123456789abcdef"}')
    assert "champion        combined 0123456789abcdef" in shown(scored).splitlines()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_pointer_is_one_line(scored: Home, text: str) -> None:
    scored.champion.write_text(text)
    with pytest.raises(UserError, match=r"champion.json is damaged .*: remove it, and `sdaie run` writes it anew"):
        gathered(scored)


def test_a_set_that_cannot_be_listed_hides_only_what_is_due(scored: Home, tmp_path: Path) -> None:
    add_corpus(scored, "mine", Corpus(source=str(tmp_path / "dev")))
    shutil.rmtree(tmp_path / "dev")
    lines = shown(scored).splitlines()
    assert "  dev                       7            3            2           no" in lines
    begin = next(number for number, line in enumerate(lines) if line.startswith("due"))
    said = " ".join(line.strip() for line in lines[begin:])
    assert said == f"due             not to be told: {tmp_path}/dev/benchmark.csv: no such file or folder"


def test_a_history_that_cannot_be_opened_is_one_line(scored: Home) -> None:
    (scored.dagster / "history" / "runs.db").mkdir(parents=True)
    (scored.dagster / "dagster.yaml").touch()
    with pytest.raises(UserError, match=r"Dagster's history in .* cannot be written"):
        gathered(scored)


def moved(measure: str, subject: str, due: bool, reason: str) -> dict[str, Any]:
    return {"measure": measure, "subject": subject, "due": due, "reason": reason}


def test_what_makes_retraining_due_is_said_in_words(scored: Home) -> None:
    store = Store(scored.tables)
    verdict = moved("retraining", "all", True, "no detector answers yet")
    store.write("drift", rows_of("drift", [verdict]))
    assert shown(scored).splitlines()[-1] == "retraining      due: no detector answers yet"
    verdict["reason"] = "due by unseen_make"
    others = [moved("unseen_make", "all", True, "12% of makes are new"), moved("flagged", "all", False, "as before")]
    store.write("drift", rows_of("drift", [verdict, *others]))
    assert shown(scored).splitlines()[-1] == "retraining      due: 12% of makes are new"
    assert [each["measure"] for each in gathered(scored)["drift"]] == ["retraining", "unseen_make"]
    store.write("drift", rows_of("drift", [verdict | {"due": False}]))
    assert gathered(scored)["drift"] == []
