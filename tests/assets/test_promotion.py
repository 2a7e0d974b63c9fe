"""Who answers: a challenger is promoted or refused on numbers that were written by hand, and a person can overrule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.champion_before import NAME, champion_before
from assets.champions import HISTORY, decide, decisions, opponent, promote, roll_back
from assets.checks import CHECKS
from assets.detection import choose
from assets.promotion import AUROC, GATES, PRETEXT, RATE, challenger, champion
from tests.assets.small_home import SmallHome
from tests.small_detector import small_detector
from warehouse.champion import read_champion
from warehouse.home import Home, UserError
from warehouse.store import Store

PHOTOGRAPHS = 60


class JudgedHome(SmallHome):
    """A small home that knows what each detector had on the benchmark set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.measured: dict[str, float] = {}


@pytest.fixture
def small(tmp_path: Path) -> JudgedHome:
    home = JudgedHome(tmp_path)
    home.settings = home.settings.replace("source = 'set'", "source = 'set'\ngate = true").replace("0.25", "0.05")
    home.register("")
    (home.set / "gan" / "0_real").mkdir(parents=True)
    (home.set / "gan" / "1_fake").mkdir(parents=True)
    for label in ("0_real", "1_fake"):
        (home.set / "gan" / label / "a.png").write_bytes(b"")
    home.write("square_features", [])
    home.write("pretext_targets", [{"photo_id": f"{number:064x}", "group": "a", "fold": 0} for number in range(3)])
    images = [
        {"dataset": "set", "image_id": f"{label}{number:03d}", "uri": f"{label}{number}", "label": label}
        | {"generator": "gan" if label else "real", "size_bytes": 1, "format": "PNG", "simulated": False}
        for label in (0, 1)
        for number in range(PHOTOGRAPHS)
    ]
    home.write("benchmark_images", [each for each in images if each["label"]], "set.gan")
    home.write("benchmark_images", [each for each in images if not each["label"]], "set.real")
    home.write("benchmark_scores", [], "set.gan")
    return home


def fitted(small: JudgedHome, name: str, *, auroc: float, gain: float, flagged: int = 3) -> str:
    """Put a detector into the tables as the newest one, as its stages would; its identity."""
    detector = replace(small_detector(), facts={"simulated_only": False, "name": name})
    identity = detector.identity
    file = small.home.detector_file(identity)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(detector.to_bytes())
    small.write("backbones", [backbone_row(name)], "trained")
    tags = [{"backbone": name, "tag": tag, "kind": "ranked", "labelled": 9} for tag in ("iso", "f_number")]
    numbers = {"groups": 9, "value": 0.5 + gain, "value_low": 0.5, "value_high": 0.9, "baseline": 0.5}
    small.write("pretext_metrics", [tag | numbers for tag in tags], "trained")
    small.write("training_curve", [], "trained")
    row: dict[str, Any] = {"detector": "combined", "detector_id": identity, "family": "combined"}
    row |= {"detector_version": identity, "description": name, "n_fit": 9, "n_calibration": 99}
    row |= {"false_positive_rate": 0.05, "threshold": 1.0, "threshold_from": "calibration", "simulated_only": False}
    small.write("detectors", [row | {"track": track} for track in ("as_shipped", "format_matched")], "squares")
    judged = [
        {"detector": "combined", "track": "as_shipped", "photo_id": f"{number:064x}", "corpus": "photographs"}
        | {"group": "a", "fold": 3, "score": 0.0, "p_value": 0.5, "flagged": number < flagged}
        for number in range(PHOTOGRAPHS)
    ]
    small.write("photo_scores", judged, "squares")
    reals = [
        {"detector": "combined", "dataset": "set", "image_id": f"0{number:03d}", "track": "format_matched"}
        | {"perturbation": "none", "detector_id": identity, "generator": "real", "label": 0, "score": 0.0}
        | {"flagged": number < flagged}
        for number in range(PHOTOGRAPHS)
    ]
    small.write("benchmark_scores", reals, "set.real")
    small.run(champion_before)
    before = Store(small.home.tables).read("detectors", ["before"])
    values = {"combined": auroc}
    if len(before):
        values[NAME] = small.measured[before["detector_id"][0]]
    small.measured[identity] = auroc
    metrics = [
        {"detector": detector, "dataset": "set", "generator": "all", "track": "format_matched", "perturbation": "none"}
        | {"detector_id": identity, "n_real": 60, "n_fake": 60, "left_out": 0, "seen": False, "auroc": value}
        for detector, value in values.items()
    ]
    small.write("benchmark_metrics", metrics)
    return identity


def backbone_row(name: str) -> dict[str, Any]:
    return {"role": "trained", "origin": "trained", "backbone": name, "preset": "compact"} | {
        "parameters": 1,
        "feature_dimension": 1,
        "simulated_only": False,
    }


def judged(small: JudgedHome) -> bool:
    """Judge the newest detector as the pipeline does; whether it answers now."""
    small.run(challenger)
    passed = all(check().passed for check in checks().values())
    if passed:
        small.run(champion)
    return passed


def checks() -> dict[str, Any]:
    found = {}
    for check in CHECKS:
        for spec in check.check_specs:
            if spec.asset_key == dg.AssetKey("challenger"):
                assert spec.blocking
                found[spec.name] = check
    return found


@pytest.fixture(autouse=True)
def _home(small: JudgedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDAIE_HOME", str(small.home.path))


def test_there_is_a_blocking_check_for_each_gate() -> None:
    assert set(checks()) == set(GATES)


def test_the_first_detector_answers_whatever_its_numbers_are(small: JudgedHome) -> None:
    first = fitted(small, "first", auroc=0.4, gain=0.0, flagged=50)
    assert judged(small)
    assert read_champion(small.home) == first
    assert [(each.decision, each.champion_before) for each in decisions(store(small))] == [("promoted", None)]
    # Judged again it is still not refused, and nothing is decided twice.
    assert judged(small)
    assert len(decisions(store(small))) == 1


def test_a_better_challenger_is_promoted_and_a_worse_one_refused_with_both_numbers(small: JudgedHome) -> None:
    first = fitted(small, "first", auroc=0.66, gain=0.1)
    assert judged(small)
    better = fitted(small, "better", auroc=0.70, gain=0.12)
    assert store(small).read("detectors", ["before"])["detector_id"].unique().to_list() == [first]
    assert judged(small)
    assert read_champion(small.home) == better
    worse = fitted(small, "worse", auroc=0.675, gain=0.05)
    assert not judged(small)
    assert read_champion(small.home) == better
    rows = store(small).read("promotions").filter(challenger=worse)
    assert set(rows["decision"]) == {"refused"}
    refused = rows.filter(~pl.col("passed"))
    assert refused.select("gate", "value", "champion_value").sort("gate").rows() == [
        (AUROC, 0.675, 0.70),
        (PRETEXT, pytest.approx(0.05), pytest.approx(0.12)),
    ]
    # The same try once more, as after a kill, is the same decision.
    assert not judged(small)
    assert len(decisions(store(small))) == 3
    # Nor does it help to remove the pointer, which follows from the decisions.
    small.home.champion.unlink()
    assert not judged(small)
    assert read_champion(small.home) == better
    # What a refusal leaves to be written is written, and then nothing is stale.
    small.run(champion)
    assert challenger.is_current(small.context())
    assert champion.is_current(small.context())
    assert choose(small.home).path == small.home.detector_file(better)


def test_small_losses_do_not_add_up_to_a_large_one(small: JudgedHome) -> None:
    fitted(small, "first", auroc=0.70, gain=0.1)
    assert judged(small)
    fitted(small, "second", auroc=0.685, gain=0.1)
    assert judged(small)
    fitted(small, "third", auroc=0.675, gain=0.1)
    assert not judged(small)
    row = store(small).read("gates").filter(gate=AUROC).row(0, named=True)
    assert row["champion_value"] == 0.685
    assert row["bound"] == pytest.approx(0.68)


def test_what_was_measured_on_other_images_is_no_bound(small: JudgedHome) -> None:
    fitted(small, "first", auroc=0.70, gain=0.1)
    assert judged(small)
    second = fitted(small, "second", auroc=0.69, gain=0.1)
    small.measured[store(small).read("detectors", ["before"])["detector_id"][0]] = 0.60
    small.write("benchmark_images", [], "set.gan")
    fitted(small, "second", auroc=0.61, gain=0.1)
    assert judged(small)
    assert read_champion(small.home) == second


def test_a_rate_that_does_not_hold_is_refused(small: JudgedHome) -> None:
    fitted(small, "first", auroc=0.70, gain=0.1)
    assert judged(small)
    fitted(small, "second", auroc=0.75, gain=0.1, flagged=20)
    assert not judged(small)
    assert set(store(small).read("gates").filter(~pl.col("passed"))["gate"]) == {RATE}


def test_after_a_rollback_the_former_champion_answers_as_before_and_is_not_promoted_away(small: JudgedHome) -> None:
    first = fitted(small, "first", auroc=0.66, gain=0.1)
    judged(small)
    pointer = small.home.champion.read_bytes()
    second = fitted(small, "second", auroc=0.70, gain=0.1)
    judged(small)
    assert roll_back(small.home).champion == first
    assert small.home.champion.read_bytes() == pointer
    assert not champion.is_current(small.context())
    assert judged(small)
    assert store(small).read("champions")["detector_id"].to_list() == [first]
    assert champion.is_current(small.context())
    assert opponent(small.home, second) == first
    # A person may change their mind; the first letters do.
    assert promote(small.home, second[:6]).decision == "promoted_by_hand"
    assert read_champion(small.home) == second
    assert roll_back(small.home).champion == first
    with pytest.raises(UserError, match="no champion before"):
        roll_back(small.home)
    # Nor is it refused, whatever is measured of it since.
    assert fitted(small, "second", auroc=0.60, gain=0.1) == second
    assert not judged(small)
    by = [each.by for each in decisions(store(small))]
    assert by == ["pipeline", "pipeline", "person", "person", "person"]


def test_a_decision_that_was_killed_before_the_pointer_moved_is_finished(
    small: JudgedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fitted(small, "first", auroc=0.66, gain=0.1)
    judged(small)
    second = fitted(small, "second", auroc=0.70, gain=0.1)
    small.run(challenger)
    with monkeypatch.context() as patched:
        patched.setattr("assets.champions.point", killed)
        with pytest.raises(KeyboardInterrupt):
            small.run(champion)
    assert read_champion(small.home) == first
    small.run(champion)
    assert read_champion(small.home) == second
    assert len(decisions(store(small))) == 2


def killed(home: Home) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_done_by_hand_is_said_in_one_line(small: JudgedHome) -> None:
    first = fitted(small, "first", auroc=0.66, gain=0.1)
    with pytest.raises(UserError, match="no champion before"):
        roll_back(small.home)
    judged(small)
    with pytest.raises(UserError, match="answers already"):
        promote(small.home, first)
    with pytest.raises(UserError, match=f"no detector 'zz' is here; there are {first}"):
        promote(small.home, "zz")
    second = fitted(small, "second", auroc=0.70, gain=0.1)
    judged(small)
    small.home.detector_file(first).unlink()
    with pytest.raises(UserError, match="no longer in"):
        roll_back(small.home)
    assert read_champion(small.home) == second


def test_decisions_are_numbered_one_after_another(small: JudgedHome) -> None:
    for name in ("a", "b"):
        decide(small.home, "promoted", name, [{"gate": "x", "subject": "", "passed": True, "reason": ""}])
    past = decisions(store(small))
    assert [each.number for each in past] == [1, 2]
    assert all(each.decided_at.endswith("+00:00") for each in past)


def test_a_decision_that_was_killed_before_it_was_to_be_seen_is_kept_beside_the_next(small: JudgedHome) -> None:
    reasons = [{"gate": "x", "subject": "", "passed": True, "reason": ""}]
    decide(small.home, "promoted", "a", reasons)
    folder = store(small).folder(HISTORY, "000001")
    (folder / "manifest.json").rename(folder / ".commits" / "000001" / f"{HISTORY}+{folder.parent.name}+000001")
    assert decisions(store(small)) == []
    decide(small.home, "promoted", "b", reasons)
    assert [(each.number, each.challenger) for each in decisions(store(small))] == [(1, "a"), (2, "b")]
    assert read_champion(small.home) == "b"


def store(small: JudgedHome) -> Store:
    return Store(small.home.tables)
