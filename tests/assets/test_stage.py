"""The machinery that all stages share, with stages of a few lines and real tables, instances and processes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.stage import FORCE_TAG, Context, Product, Stage, stage, to_asset
from models.pretext import CATEGORICAL, RANKED
from pipelines.instance import prepare
from warehouse.home import Home, UserError
from warehouse.shards import frame
from warehouse.store import Store

SETTINGS = {"group": "a"}
CALLS: list[str] = []


@stage(group="corpus", tables=["splits"], settings=lambda context: [SETTINGS["group"], (1, 2)])
def first(context: Context) -> Product:
    """Writes one group."""
    CALLS.append("first")
    return Product({"splits": frame("splits", [{"group": SETTINGS["group"], "fold": 0, "photos": 1}])}, {"groups": 1})


@stage(group="corpus", tables=["champions"], upstream=[first], files=lambda context: [context.home.champion])
def second(context: Context) -> Product:
    """Writes a file beside its table."""
    CALLS.append("second")
    context.home.champion.write_text("{}")
    return Product({"champions": frame("champions", [{"detector": "x", "detector_id": "y"}])})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SDAIE_HOME", str(tmp_path))
    monkeypatch.setitem(SETTINGS, "group", "a")
    CALLS.clear()
    return Home(tmp_path)


def materialise(home: Home, *stages: Stage, force: bool = False) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.from_config(str(prepare(home))) as instance:
        return dg.materialize(
            [to_asset(each) for each in stages],
            instance=instance,
            tags={FORCE_TAG: "true"} if force else None,
            raise_on_error=False,
        )


def test_a_table_of_another_release_is_named_with_the_command_that_makes_it_anew(home: Home) -> None:
    context = Context(home)
    first.materialise(context)
    folder = context.store.folder("splits")
    former = folder.parent.with_name("v0") / folder.name
    former.parent.mkdir()
    folder.rename(former)
    with pytest.raises(UserError, match=r"second needs first, .* \(version 0 of table splits, this one reads 1\).*run"):
        second.materialise(context)
    assert not first.is_current(context)
    first.materialise(context)
    second.materialise(context)


def test_a_stage_is_current_until_what_it_is_made_from_changes(home: Home) -> None:
    context = Context(home)
    assert not first.is_current(context)
    first.materialise(context)
    assert first.is_current(context)
    SETTINGS["group"] = "b"
    assert not first.is_current(context)


def test_a_stage_without_its_upstream_says_what_is_missing(home: Home) -> None:
    with pytest.raises(UserError, match="second needs first, which has not run yet"):
        second.materialise(Context(home))


def test_equal_rows_upstream_leave_what_stands_on_them_current(home: Home) -> None:
    context = Context(home)
    first.materialise(context)
    second.materialise(context)
    first.materialise(context)
    assert second.is_current(context)
    SETTINGS["group"] = "b"
    first.materialise(context)
    assert not second.is_current(context)


def test_a_stage_whose_file_is_gone_is_not_current(home: Home) -> None:
    context = Context(home)
    first.materialise(context)
    second.materialise(context)
    home.champion.unlink()
    assert not second.is_current(context)


def test_materialising_a_current_asset_does_nothing_unless_forced(home: Home) -> None:
    assert materialise(home, first, second).success
    assert materialise(home, first, second).success
    assert CALLS == ["first", "second"]
    assert materialise(home, first, second, force=True).success
    assert CALLS == ["first", "second"] * 2


def test_an_asset_shows_rows_columns_versions_and_numbers(home: Home) -> None:
    result = materialise(home, first)
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == 1
    assert metadata["groups"].value == 1
    assert "| a |" in str(metadata["preview"].value)
    schema: Any = metadata["dagster/column_schema"].value
    assert [column.name for column in schema.columns] == ["group", "fold", "photos"]
    manifest = Store(home.tables).manifest("splits")
    assert manifest is not None
    assert event.materialization.tags is not None
    assert event.materialization.tags["dagster/data_version"] == manifest.digest


def test_an_asset_shows_where_its_columns_come_from_and_the_file_it_makes(home: Home) -> None:
    @stage(group="corpus", tables=["photos"], upstream=[first])
    def third(context: Context) -> Product:
        """Shares a column with its upstream table."""
        return Product({"photos": frame("photos", [])})

    shown = {
        event.materialization.asset_key.to_user_string(): event.materialization.metadata
        for event in materialise(home, first, second, third).get_asset_materialization_events()
    }
    lineage: Any = shown["third"]["dagster/column_lineage"].value
    assert lineage.deps_by_column["group"] == [dg.TableColumnDep(dg.AssetKey("first"), "group")]
    assert lineage.deps_by_column["photo_id"] == []
    assert shown["second"]["champion.json"].value == home.champion.as_uri()


def test_an_asset_is_unsynced_when_rows_upstream_changed_and_not_when_they_were_made_again(home: Home) -> None:
    assert materialise(home, first, second).success
    assert unsynced(home, first, second) == set()
    assert materialise(home, first, force=True).success
    assert unsynced(home, first, second) == set()
    SETTINGS["group"] = "b"
    assert materialise(home, first).success
    assert unsynced(home, first, second) == {"second"}
    assert materialise(home, second).success
    assert unsynced(home, first, second) == set()
    assert unsynced(home, replace(first, version=2), second) == {"first"}


def test_an_asset_is_unsynced_when_any_table_upstream_changed(home: Home) -> None:
    @stage(group="corpus", tables=["splits", "champions"], settings=lambda context: SETTINGS["group"])
    def makes_two(context: Context) -> Product:
        """Two tables, of which the second changes."""
        champion = {"detector": SETTINGS["group"], "detector_id": "y"}
        return Product({"splits": frame("splits", []), "champions": frame("champions", [champion])})

    @stage(group="corpus", tables=["photos"], upstream=[makes_two])
    def takes_two(context: Context) -> Product:
        """Stands on both."""
        return Product({"photos": frame("photos", [])})

    assert materialise(home, makes_two, takes_two).success
    SETTINGS["group"] = "b"
    assert materialise(home, makes_two).success
    assert unsynced(home, makes_two, takes_two) == {"takes_two"}


def unsynced(home: Home, *stages: Stage) -> set[str]:
    """The assets that the UI marks as unsynced, asked as the UI does."""
    graph = AssetGraph.from_assets([to_asset(each) for each in stages])
    with dg.DagsterInstance.from_config(str(prepare(home))) as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {each.name for each in stages if resolver.get_status(dg.AssetKey(each.name)) != StaleStatus.FRESH}


def test_a_users_mistake_fails_the_asset_with_its_sentence(home: Home) -> None:
    (event,) = materialise(home, second).filter_events(lambda event: event.is_step_failure)
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description == "second needs first, which has not run yet"


@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::DeprecationWarning")
def test_what_the_training_process_cannot_do_fails_the_asset_with_its_sentence(home: Home) -> None:
    targets = home.path / "targets.parquet"
    columns: dict[str, pa.Array] = {
        "photo_id": pa.array(["p"]),
        "group": pa.array(["g"]),
        "fold": pa.array([0], pa.int8()),
        **{tag: pa.array(["x"]) for tag in CATEGORICAL},
        **{tag: pa.array([1.0]) for tag in RANKED},
    }
    pq.write_table(pa.table(columns), targets)

    @stage(group="training", tables=["splits"])
    def trains(context: Context) -> Product:
        """Starts the training process without a single crop."""
        assert context.launch is not None
        job = {"config": {}, "crop_shards": [], "targets": str(targets), "out": str(home.path / "out")}
        context.launch("pipelines.train_process", json.loads(json.dumps(job)))
        raise AssertionError("the process had nothing to train on")

    (event,) = materialise(home, trains).filter_events(lambda event: event.is_step_failure)
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert "crop" in str(failure.description)
