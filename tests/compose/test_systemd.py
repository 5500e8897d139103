"""The units of systemd: read by systemd itself where it is there, and in step with their settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from compose.files import ROOT, leaves

from upwhisk.common.settings import ServerSettings
from upwhisk.common.settings_file import load_settings
from upwhisk.invoker.containers.docker.rights import NO_NICE, NO_PTRACE

FOLDER = ROOT / "compose/systemd"
UNITS = sorted(FOLDER.glob("*.service"))
DOCKER = FOLDER / "docker.conf"
WITH_GUESTS = [unit for unit in UNITS if unit.stem != "upwhisk-controller"]


def _values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def test_there_is_one_for_each_process() -> None:
    assert [unit.stem for unit in UNITS] == ["upwhisk-controller", "upwhisk-invoker", "upwhisk-standalone"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_watched_drained_and_hardened(unit: Path) -> None:
    assert _values(unit, "Type") == ["notify"]
    assert int(_values(unit, "WatchdogSec")[0]) > 0
    assert _values(unit, "KillMode") == ["mixed"]
    assert float(_values(unit, "TimeoutStopSec")[0]) > ServerSettings().drain_s
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "LockPersonality", "RestrictRealtime", "ProtectKernelModules"):
        assert _values(unit, key) == ["yes"], key
    assert _values(unit, "ProtectSystem") == ["strict"]
    if unit.stem == "upwhisk-controller":
        assert _values(unit, "DynamicUser") == ["yes"]
        assert _values(unit, "CapabilityBoundingSet") == [""]
    else:
        assert _values(unit, "Delegate") == ["yes"]
        assert _values(unit, "OOMPolicy") == ["continue"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_its_settings_name_the_credentials_that_it_hands_over(unit: Path) -> None:
    role = unit.stem.removeprefix("upwhisk-")
    settings = FOLDER / f"{role}.toml"
    load_settings(settings, {})
    command = _values(unit, "ExecStart")[0]
    assert f" {role} " in command
    assert command.endswith(f"--config /etc/upwhisk/{role}.toml")
    handed = {value.partition(":")[0] for value in _values(unit, "LoadCredential")}
    below = f"/run/credentials/{unit.name}/"
    named = [str(value) for _, value in leaves(tomllib.loads(settings.read_text()))]
    assert {value.removeprefix(below) for value in named if value.startswith("/run/")} == handed


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_reads_it(unit: Path, tmp_path: Path) -> None:
    assert _verified(unit, tmp_path, "") == (0, "")


# -- the drop-in for Docker -------------------------------------------------------------------------------------------


def _rights(file: Path) -> set[str]:
    return {name for value in _values(file, "CapabilityBoundingSet") for name in value.split()}


@pytest.mark.parametrize("unit", WITH_GUESTS, ids=lambda unit: unit.stem)
def test_the_rights_that_docker_alone_needs_are_in_its_drop_in(unit: Path) -> None:
    """They are those whose want a start is refused for; who does not use Docker does not have them."""
    named = set(re.findall(r"CAP_[A-Z_]+", NO_PTRACE + NO_NICE))
    assert _rights(DOCKER) == named == {"CAP_SYS_PTRACE", "CAP_SYS_NICE"}
    assert not _rights(unit) & named
    assert DOCKER.relative_to(ROOT).as_posix() in NO_PTRACE
    installed = f"compose/systemd/{DOCKER.name} /etc/systemd/system/upwhisk-invoker.service.d/{DOCKER.name}"
    assert installed in (ROOT / "docs/systemd.md").read_text()


@pytest.mark.parametrize("unit", WITH_GUESTS, ids=lambda unit: unit.stem)
def test_systemd_reads_the_drop_in(unit: Path, tmp_path: Path) -> None:
    assert _verified(unit, tmp_path, DOCKER.read_text()) == (0, "")
    assert "Nonsense" in _verified(unit, tmp_path, DOCKER.read_text() + "Nonsense=1\n")[1], "it is the drop-in that is read"


def _verified(unit: Path, folder: Path, drop_in: str) -> tuple[int, str]:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    text = unit.read_text().replace("/opt/upwhisk/bin/upwhisk", sys.executable)  # the command has to be there
    (folder / unit.name).write_text(text)
    if drop_in:
        (folder / f"{unit.name}.d").mkdir(exist_ok=True)
        (folder / f"{unit.name}.d/docker.conf").write_text(drop_in)
    done = subprocess.run([analyze, "verify", folder / unit.name], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr
