"""`sdaie clean` and the job `clean_up` as they are started, beside runs of both kinds, and a home that was moved."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from assets.champions import roll_back
from pipelines.cleaning import clean, clean_up
from pipelines.cli import cli
from pipelines.instance import only_run, open_instance
from tests.assets.cleaned_home import Cleaned, age, make_home, tree
from tests.assets.small_home import picture
from tests.small_detector import jpeg, photograph
from warehouse.home import Home, UserError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Cleaned:
    return make_home(tmp_path_factory.mktemp("cleaned") / "home")


@pytest.fixture
def home(original: Cleaned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path / "home"))
    return Home(shutil.copytree(original.home.path, tmp_path / "home"))


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with open_instance(home) as opened:
        yield opened


def call(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.path), *words])


def test_the_command_says_what_goes_and_a_dry_run_what_would(home: Home) -> None:
    before = tree(home)
    would, did = call(home, "clean", "--dry-run"), call(home, "clean")
    assert would.stdout == did.stdout
    assert "3 detectors: 3 files, 5.3 MB\n" in did.stdout
    assert would.stderr.endswith(" MB would be removed\n")
    assert did.stderr.endswith(" MB removed\n")
    assert set(tree(home)) < set(before)
    again = call(home, "clean")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "nothing to remove\n")


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert call(Home(tmp_path / "typo"), "clean").stderr == "nothing to remove\n"
    assert not (tmp_path / "typo").exists()


def test_beside_a_run_nothing_goes(home: Home, instance: dg.DagsterInstance) -> None:
    before = tree(home)
    with only_run(home), pytest.raises(UserError, match="is at work in"):
        clean(home)
    run = instance.create_run_for_job(clean_up, status=dg.DagsterRunStatus.STARTED)
    with pytest.raises(UserError, match=rf"run {run.run_id} \(clean_up\) is at work in .*: wait for it, or end it"):
        clean(home)
    assert tree(home) == before
    assert clean(home, own_run=run.run_id)


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_job_does_what_the_command_does(home: Home, instance: dg.DagsterInstance, dry_run: bool) -> None:
    before = tree(home)
    config = {"ops": {"remove_unneeded": {"config": {"dry_run": dry_run}}}}
    result = clean_up.execute_in_process(run_config=config, instance=instance)
    assert result.success
    [output] = result.filter_events(lambda event: event.is_successful_output)
    assert output.step_output_data.metadata["detectors"].value == "3 detectors: 3 files, 5.3 MB"
    assert (tree(home) == before) is dry_run


def test_a_copy_goes_on_where_the_home_was(home: Home, tmp_path: Path) -> None:
    for number in range(10):
        picture(home.path / "photographs" / f"g{number % 5}" / f"{number}.png", number)
    with home.registry.open("a") as registry:
        registry.write("[corpora.photographs]\nsource = 'photographs'\n")
    (tmp_path / "a.jpg").write_bytes(jpeg(photograph(1)))
    assert call(home, "run", "--only", "corpus").exit_code == 0
    questions = (["query", "FROM exif_raw", "--format", "json"], ["detect", "--json", str(tmp_path / "a.jpg")])
    before = [call(home, *words).stdout for words in questions]
    assert json.loads(before[0])
    moved = Home(shutil.copytree(home.path, tmp_path / "elsewhere" / "copy"))
    shutil.rmtree(home.path)
    assert [call(moved, *words).stdout for words in questions] == before
    said = call(moved, "run", "--only", "corpus")
    assert said.stderr == "nothing to do: everything registered is up to date\n"
    age(moved, 10)
    assert call(moved, "clean").exit_code == 0
    assert call(moved, "run", "--only", "corpus").stderr == said.stderr
    assert [call(moved, *words).stdout for words in questions] == before
    roll_back(moved)


def test_a_copy_of_a_home_at_work_is_whole_where_what_names_files_is_copied_first(
    original: Cleaned, home: Home, tmp_path: Path
) -> None:
    copy, store = Home(tmp_path / "copy"), Cleaned(home, original.detectors).store
    names = [path for path in home.path.rglob("*") if path.name == "manifest.json" or path.parent == home.path]
    for path in (path for path in names if path.is_file()):
        target = copy.path / path.relative_to(home.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    before = store.read("splits").to_dicts()
    store.write("splits", store.read("splits").head(0))
    assert clean(home)
    for path in (path for path in home.path.rglob("*") if path.is_file()):
        target = copy.path / path.relative_to(home.path)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    assert Cleaned(copy, original.detectors).store.read("splits").to_dicts() == before
    assert call(copy, "query", "FROM exif_raw").exit_code == 0
