"""Who may import whom: pipelines -> assets -> models, warehouse; and torch is not loaded to look at the graph."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipelines": {"pipelines", "assets", "models", "warehouse"},
    "assets": {"assets", "models", "warehouse"},
    "models": {"models"},
    "warehouse": {"warehouse"},
}
FORBIDDEN = {
    "models": {"dagster", "dagster_pipes", "polars", "duckdb"},
    "warehouse": {"dagster", "dagster_pipes", "torch", "sklearn"},
}
HEAVY = {"duckdb", "matplotlib", "scipy", "sklearn", "torch"}
MODULES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).glob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_room_imports_only_what_it_may(module: Path) -> None:
    room = module.parent.name
    names = imported(ast.parse(module.read_text(encoding="utf-8")))
    assert not (names & set(MAY_IMPORT)) - MAY_IMPORT[room]
    assert not names & FORBIDDEN.get(room, set())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_module_says_what_belongs_in_it(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


def test_loading_the_definitions_leaves_heavy_packages_out() -> None:
    program = f"import sys, pipelines.definitions; print(sorted(set(sys.modules) & {HEAVY}))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
