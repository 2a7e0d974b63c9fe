"""The list of reasons is whole, and what may pass is tried again by the next run, while all else is not."""

import re
from pathlib import Path

import pytest

from warehouse.compute import Compute
from warehouse.reasons import REASONS, may_pass, meaning
from warehouse.shards import Quarantined, Rows, awaits_another_try, cut_shards, quarantine_frame, run_shards
from warehouse.store import Store

PROJECT = Path(__file__).parents[2]
FAILURES: dict[str, str] = {}


def test_every_code_that_is_raised_stands_in_the_list() -> None:
    raised = set()
    for room in ("assets", "models", "warehouse"):
        for path in (PROJECT / room).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            raised |= set(re.findall(r"(?:RefusedError|ImageError)\(\s*\"(\w+)\"", text))
    assert raised
    assert raised <= REASONS.keys()
    assert meaning("http_503") == "The server answered 503."
    with pytest.raises(KeyError, match="because"):
        quarantine_frame("files", [Quarantined("corpus", "a.jpg", "because", "of reasons")])


def test_the_documentation_has_every_reason_in_the_same_words() -> None:
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = {f"| `{code}`{'*' if may_pass(code) else ''} | {words} |" for code, words in REASONS.items()}
    assert rows <= set(text.splitlines())


@pytest.mark.parametrize(
    ("reason", "passing"),
    [("timeout", True), ("http_503", True), ("http_429", True), ("http_403", False), ("corrupt", False)],
)
def test_only_what_may_pass_is_tried_again(tmp_path: Path, reason: str, passing: bool) -> None:
    store = Store(tmp_path)
    assert may_pass(reason) is passing
    FAILURES.update({"b": reason})
    assert _committed(store) == (["a"], [reason])
    assert awaits_another_try(store, "splits") is passing
    FAILURES.clear()
    assert _committed(store) == ((["a", "b"], []) if passing else (["a"], [reason]))
    assert not awaits_another_try(store, "splits") or not passing


def test_rows_are_taken_with_the_quarantine_that_was_written_with_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for reason in ("timeout", "http_503", "timeout"):
        FAILURES.update({"b": reason})
        assert _committed(store) == (["a"], [reason])
    FAILURES.clear()
    assert _committed(store) == (["a", "b"], [])
    assert _committed(store) == (["a", "b"], [])


def _committed(store: Store) -> tuple[list[str], list[str]]:
    """Groups and reasons after a run over two items, of which those in FAILURES are refused."""
    work = cut_shards("splits", ["a", "b"], lambda item: item * 64, lambda item: item, None)
    rows, refused = run_shards(store, Compute(here=True), "splits", work, _try, progress=lambda done, total: None)
    store.commit("quarantine", refused, partition="splits")
    store.commit("splits", rows)
    reasons = store.read("quarantine", ["splits"])["reason"].to_list()
    return store.read("splits")["group"].to_list(), reasons


def _try(items: tuple[str, ...]) -> tuple[Rows, list[Quarantined]]:
    rows: Rows = [{"group": item, "fold": 0, "photos": 1} for item in items if item not in FAILURES]
    return rows, [Quarantined("corpus", item, FAILURES[item], "so") for item in items if item in FAILURES]
