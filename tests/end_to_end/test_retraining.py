"""A home that looks after itself, by a real daemon: schedule, sensor, killed workers, promotion and refusal."""

import json
import os
import random
import shutil
import signal
from pathlib import Path

import dagster as dg
import pytest

from assets.champions import decisions
from assets.promotion import GATES
from tests.end_to_end.conftest import Sdaie
from tests.end_to_end.served import served, wait_for
from tests.end_to_end.test_chain import tables
from tests.end_to_end.test_kill import trainers
from warehouse.catalogue import query
from warehouse.champion import read_champion
from warehouse.home import Home
from warehouse.registry import Corpus, add_corpus, set_coding, set_reconstruction, set_training
from warehouse.simulator import simulate_benchmark, simulate_corpus
from warehouse.store import Store

pytestmark = pytest.mark.slow

EVERY_MINUTE = '\n[retrain]\ncron = "* * * * *"\nenabled = true\n'
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def home(finished: Home, tmp_path: Path) -> Home:
    """A finished home of one's own."""
    copy = Home(tmp_path / "home")
    shutil.copytree(finished.path, copy.path)
    return copy


def test_the_schedule_fires_by_itself(home: Home) -> None:
    with home.registry.open("a") as registry:
        registry.write(EVERY_MINUTE)
    with served(home) as ui:
        fired = {"dagster/schedule_name": "retrain_weekly"}
        run = wait_for(lambda: next(run for run in ui.runs("retrain") if fired.items() <= run.tags.items()), 120)
        assert ui.ended(run.run_id) == SUCCESS
        assert not ui.runs("ingest")


def test_new_photographs_in_a_folder_are_read_and_published(home: Home) -> None:
    store = Store(home.tables)
    before = len(store.read("photos", columns=["photo_id"]))
    taken = sorted((home.simulated / "corpus").rglob("*.jpg"))[0]
    # Bytes behind the end of a JPEG change nothing but its identity.
    taken.with_name("new.jpg").write_bytes(taken.read_bytes() + b"new")
    with served(home) as ui:
        asked = wait_for(lambda: next(iter(ui.runs("ingest"))), 150)
        assert asked.tags["dagster/sensor_name"] == "new_files"
        assert asked.tags["sdaie/changed"] == "simulated"
        assert ui.ended(asked.run_id) == SUCCESS
        assert len(store.read("photos", columns=["photo_id"])) == before + 1
        assert len(store.read("exif", columns=["photo_id"])) == before + 1
        # What is cheap follows by itself.
        photographs = "SELECT count(*) FROM photos"
        wait_for(lambda: query(home, photographs).rows == [(before + 1,)], 240)


def test_a_killed_worker_leaves_nothing_behind_and_the_next_run_goes_on(home: Home) -> None:
    text = home.registry.read_text()
    home.registry.write_text(text.replace("steps = 12", "steps = 100000"))
    with served(home) as ui:
        run_id = ui.submit("retrain")
        trainer = wait_for(lambda: next(iter(trainers(home))), 120)
        environment = Path(f"/proc/{trainer}/environ").read_bytes().split(b"\0")
        worker = next(int(line.split(b"=")[1]) for line in environment if line.startswith(b"SDAIE_PARENT_PID="))
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not trainers(home), 60)
        assert ui.ended(run_id) == FAILURE
        home.registry.write_text(text)
        assert ui.ended(ui.submit("retrain")) == SUCCESS
        # The runs that the killed worker had started are ended too.
        assert all(run.is_finished for run in ui.runs())


def test_two_retrainings_at_once_and_the_command_beside_them_lose_nothing(
    finished: Home, home: Home, sdaie: Sdaie
) -> None:
    anew = {"ops": {"read_photographs": {"config": {"force": True}}, "publish_results": {"config": {"force": True}}}}
    with served(home) as ui:
        submitted = [ui.submit("retrain", anew) for _ in range(2)]
        wait_for(lambda: any(run.tags.get("sdaie/part_of") for run in ui.runs()), 60)
        beside = sdaie(home.path, "run", "--force", "--only", "exif")
        assert beside.returncode == 0 or "at work" in beside.stderr
        assert [ui.ended(run_id) for run_id in submitted] == [SUCCESS, SUCCESS]
    assert tables(home) == tables(finished)


def test_the_ui_registers_and_says_what_is_out_of_bounds(home: Home) -> None:
    with served(home) as ui:
        corpus = {"name": "more", "source": "simulated/corpus", "train": False}
        register = {"ops": {"register_corpus": {"config": corpus}}}
        assert ui.ended(ui.submit("register_a_corpus", register)) == SUCCESS
        assert "[corpora.more]" in home.registry.read_text()
        before = home.registry.read_text()
        budget = {"ops": {"set_budget": {"config": {"steps": 0}}}}
        assert ui.ended(ui.submit("set_the_training_budget", budget)) == FAILURE
        assert home.registry.read_text() == before


def test_a_new_home_is_made_by_the_jobs_of_the_ui_alone(tmp_path: Path) -> None:
    corpus, images = tmp_path / "corpus", tmp_path / "images"
    simulate_corpus(corpus, photographs=100, groups=10, seed=0)
    simulate_benchmark(images, per_generator=4, seed=1)
    home = Home(tmp_path / "home")
    budget = {"steps": 12, "crops": 1, "autoencoder_steps": 12, "reconstruction_steps": 12}
    budget |= {"coding_steps": 12}
    asked = {
        "register_a_corpus": ("register_corpus", {"name": "photographs", "source": str(corpus)}),
        "register_a_benchmark_set": ("register_benchmark", {"name": "dev", "source": str(images), "gate": True}),
        "set_the_training_budget": ("set_budget", budget),
    }
    with served(home) as ui:
        for job, (op, config) in asked.items():
            assert ui.ended(ui.submit(job, {"ops": {op: {"config": config}}})) == SUCCESS
        assert ui.ended(ui.submit("retrain"), 600) == SUCCESS
        assert read_champion(home) is not None
        assert len(query(home, "leaderboard").rows) > 0
        assert ui.ended(ui.submit("retrain")) == SUCCESS
    gates = Store(home.tables).read("gates")
    assert set(gates["gate"]) == set(GATES)
    assert gates["passed"].all()


def test_a_backbone_of_shuffled_tags_is_refused_a_better_one_promoted_and_a_person_goes_back(
    tmp_path: Path, sdaie: Sdaie
) -> None:
    home = Home(tmp_path / "home")
    good, shuffled = home.simulated / "good", home.simulated / "shuffled"
    simulate_corpus(good, photographs=160, groups=20, seed=5)
    shuffle_exif(good, shuffled)
    add_corpus(home, "photographs", Corpus(source=str(shuffled)))
    set_reconstruction(home, autoencoder_steps=12, steps=12)
    set_coding(home, steps=12)
    set_training(home, steps=12, crops=1)
    assert sdaie(home.path, "run").returncode == 0
    first = read_champion(home)

    learn_from(home, "good", steps=240)
    assert sdaie(home.path, "run").returncode == 0
    second = read_champion(home)
    assert second != first
    picture = str(sorted(good.rglob("*.jpg"))[0])
    answer = sdaie(home.path, "detect", "--json", picture).stdout
    assert json.loads(answer)["detector"]

    learn_from(home, "shuffled", steps=12)
    said = sdaie(home.path, "run")
    assert said.returncode == 0, said.stderr
    assert "the challenger was refused: the champion answers as before" in said.stderr
    assert "pretext gain" in said.stderr
    assert read_champion(home) == second
    assert [each.decision for each in decisions(Store(home.tables))] == ["promoted", "promoted", "refused"]
    assert "nothing to do" in sdaie(home.path, "run").stderr
    assert sdaie(home.path, "detect", "--json", picture).stdout == answer

    refused = decisions(Store(home.tables))[-1].challenger
    assert sdaie(home.path, "promote", refused[:8]).returncode == 0
    assert sdaie(home.path, "detect", "--json", picture).stdout != answer
    assert sdaie(home.path, "rollback").returncode == 0
    assert sdaie(home.path, "detect", "--json", picture).stdout == answer
    assert sdaie(home.path, "run").returncode == 0
    assert read_champion(home) == second
    assert "nothing to do" in sdaie(home.path, "run").stderr


def learn_from(home: Home, folder: str, steps: int) -> None:
    text = home.registry.read_text()
    for name in ("good", "shuffled"):
        text = text.replace(f'"simulated/{name}"', f'"simulated/{folder}"')
    home.registry.write_text(text)
    set_training(home, steps=steps)


def shuffle_exif(source: Path, target: Path) -> None:
    """The same pictures, each with the EXIF of another: what tags say has nothing to do with pixels."""
    shutil.copytree(source, target)
    pictures = {path: path.read_bytes() for path in sorted(target.rglob("*.jpg"))}
    with_exif = [path for path, content in pictures.items() if exif_of(content)]
    others = random.Random(0).sample(with_exif, len(with_exif))
    for path, other in zip(with_exif, others, strict=True):
        path.write_bytes(pictures[path].replace(exif_of(pictures[path]), exif_of(pictures[other]), 1))


def exif_of(jpeg: bytes) -> bytes:
    """The APP1 segment with EXIF; nothing where there is none."""
    start = jpeg.find(b"Exif\0\0") - 4
    if jpeg[max(0, start) : start + 2] != b"\xff\xe1":
        return b""
    return jpeg[start : start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big")]
