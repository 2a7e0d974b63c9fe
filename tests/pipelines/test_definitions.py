import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.chain import GROUPS, STAGES
from pipelines.cli import GROUPS as CLI_GROUPS
from pipelines.definitions import build_definitions
from warehouse.schema import TABLES

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in build_definitions().resolve_all_asset_specs()}


def test_the_asset_graph_is_the_one_in_the_snapshot(specs: dict[str, dg.AssetSpec]) -> None:
    """After a wanted change: `python -m tests.pipelines.test_definitions` writes the snapshot anew."""
    assert graph(specs) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_asset_says_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    for spec in specs.values():
        assert spec.description
        assert spec.owners
        assert spec.kinds
        assert spec.group_name in GROUPS
    for stage in STAGES:
        schema = specs[stage.name].metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(TABLES[stage.tables[0]].column_names)
        assert all(column.description for column in schema.columns)


def test_every_table_but_histories_has_one_stage() -> None:
    made = [(table, stage.table_partition) for stage in STAGES for table in stage.tables]
    assert len(made) == len(set(made))
    assert {table for table, _ in made} | {"quarantine", "promotions", "champion_photographs"} == set(TABLES)


def test_stages_come_after_what_they_stand_on() -> None:
    for number, stage in enumerate(STAGES):
        assert set(stage.upstream) <= set(STAGES[:number])


def test_the_command_line_knows_every_group() -> None:
    assert CLI_GROUPS == GROUPS


def test_the_workspace_loads_from_any_directory(tmp_path: Path) -> None:
    dagster = Path(sys.executable).with_name("dagster")
    said = subprocess.run(
        [dagster, "definitions", "validate", "-w", ROOT / "workspace.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "All code locations passed validation" in said.stdout + said.stderr


def graph(specs: dict[str, dg.AssetSpec]) -> dict[str, dict[str, object]]:
    return {
        name: {
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "depends_on": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "partitions": getattr(spec.partitions_def, "name", None),
        }
        for name, spec in sorted(specs.items())
    }


if __name__ == "__main__":
    found = {spec.key.to_user_string(): spec for spec in build_definitions().resolve_all_asset_specs()}
    SNAPSHOT.write_text(json.dumps(graph(found), indent=1) + "\n", encoding="utf-8")
