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

FOLDER = ROOT / "compose/systemd"
UNITS = sorted(FOLDER.glob("*.service"))


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
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    text = unit.read_text().replace("/opt/upwhisk/bin/upwhisk", sys.executable)  # the command has to be there
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run([analyze, "verify", tmp_path / unit.name], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
