"""The layout that packaging, imports and readers rely on."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = sorted(p.parent.name for p in ROOT.glob("*/upwhisk") if p.is_dir())
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room / "upwhisk").rglob("*.py"))


def test_the_lists_name_every_room() -> None:
    tool = CONFIG["tool"]
    assert sorted(tool["hatch"]["build"]["dev-mode-dirs"]) == ROOMS
    assert sorted(p.split("/")[0] for p in tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == ROOMS
    assert sorted(tool["mypy"]["mypy_path"]) == ROOMS
    assert sorted(tool["ruff"]["src"]) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_holds_its_own_package_and_a_readme(room: str) -> None:
    inside = [p.name for p in (ROOT / room / "upwhisk").iterdir() if p.name != "__pycache__"]
    assert inside == [room], "upwhisk is a namespace package: no __init__.py beside the rooms"
    assert (ROOT / room / "README.md").read_text().strip()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 500, "500 lines is the stop sign"
    assert path.stem not in {"utils", "helpers", "misc", "manager"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_modules_do_no_io(path: Path) -> None:
    """A module whose docstring says `Pure.` imports nothing that waits, and has no coroutine."""
    tree = ast.parse(path.read_text())
    doc = ast.get_docstring(tree) or ""
    if "Pure." not in doc and "◆ pure" not in doc:
        return
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"line {node.lineno}"
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {"asyncio", "aiohttp", "socket", "sqlite3"} & {n.split(".")[0] for n in names}


def test_the_licence_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
