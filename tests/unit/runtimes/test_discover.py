"""Which interpreters are found, and that a second look runs nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from upwhisk.runtimes import discover as module
from upwhisk.runtimes.discover import discover

OWN = (sys.version_info[0], sys.version_info[1])
NOTHING = {
    "PATH": "",
    "HOME": "/nonexistent",
    "PYENV_ROOT": "/nonexistent",
    "UV_PYTHON_INSTALL_DIR": "/nonexistent",
}


def no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*command: Any, **options: Any) -> Any:
        raise AssertionError(f"ran {command}")

    monkeypatch.setattr(subprocess, "run", refuse)


def test_its_own_base_interpreter_is_found() -> None:
    found = discover(None, NOTHING)
    own = found.pythons[OWN]
    assert own == Path(os.path.realpath(own))
    assert not any((folder / "pyvenv.cfg").exists() for folder in own.parents)


def test_every_interpreter_is_what_it_is_said_to_be() -> None:
    for version, path in discover().pythons.items():
        assert version >= (3, 10)
        done = subprocess.run(
            [path, "-I", "-S", "-c", "import sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        assert done.stdout.strip() == str(version)


def test_a_second_look_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "interpreters.json"
    first = discover(cache)
    assert cache.is_file()
    no_runs(monkeypatch)
    assert discover(cache) == first


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "interpreters.json"
    discover(cache)
    entries = json.loads(cache.read_text())
    for entry in entries["files"].values():
        entry["stamp"][0] += 1
    cache.write_text(json.dumps(entries))
    no_runs(monkeypatch)
    with pytest.raises(AssertionError, match="ran"):
        discover(cache)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 0, "files": {}}',
        '{"version": 1, "files": 5}',
        '{"version": 1, "files": {"/x": 5}}',
    ],
)
def test_a_damaged_memory_is_made_anew(tmp_path: Path, text: str) -> None:
    cache = tmp_path / "interpreters.json"
    cache.write_text(text)
    assert OWN in discover(cache, NOTHING).pythons
    assert json.loads(cache.read_text())["files"]


def test_a_virtual_environment_leads_to_its_base(tmp_path: Path) -> None:
    base = discover(None, NOTHING).pythons[OWN]
    for form in ("--symlinks", "--copies"):
        venv = tmp_path / form.strip("-")
        subprocess.run([base, "-m", "venv", form, "--without-pip", str(venv)], check=True, timeout=60)
        result = module._probe(os.path.realpath(venv / "bin" / base.name))
        assert result == ["python", *OWN, str(base)]


def test_shims_scripts_and_strangers_are_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in ("python3.11", "python3", "node"):
        shim = tmp_path / name
        shim.write_text(f"#!/bin/sh\ntouch {mark}\n")
        shim.chmod(0o755)
    shutil.copy(shutil.which("true") or "/bin/true", tmp_path / "python3.12")
    found = discover(None, {**NOTHING, "PATH": str(tmp_path)})
    assert not mark.exists()
    assert not any(tmp_path in path.parents for path in (*found.pythons.values(), *found.nodes.values()))


def test_folders_of_version_managers(tmp_path: Path) -> None:
    real = discover(None, NOTHING).pythons[OWN]
    for variable, below in (("PYENV_ROOT", "versions/x/bin"), ("UV_PYTHON_INSTALL_DIR", "cpython-x/bin")):
        folder = tmp_path / variable / below
        folder.mkdir(parents=True)
        (folder / "python3").symlink_to(real)
        candidates = set(module._python_candidates({**NOTHING, variable: str(tmp_path / variable)}))
        assert str(folder / "python3") in candidates
    nodes = tmp_path / "nvm/versions/node/v22/bin"
    nodes.mkdir(parents=True)
    assert str(nodes / "node") in set(module._node_candidates({**NOTHING, "NVM_DIR": str(tmp_path / "nvm")}))
