"""What the whole fleet in containers needs where no registry is reached: a base image, and wheels for our own image."""

from __future__ import annotations

import platform
import tomllib
from pathlib import Path

from compose.files import ROOT
from services import compose_tool
from services.cache import digest, kept
from services.commands import have, run

PROGRAMS = {"mmdebstrap": "mmdebstrap", "docker": "docker.io"}
_RELEASE = "bookworm"
_PYTHON = "3.11"
"""Debian's of that release."""
_PACKAGES = (
    "ca-certificates,haproxy,iproute2,libseccomp2,nftables,openjdk-17-jre-headless,procps,python3,python3-venv,"
    "systemd-sysv,wget"
)
_BASE_S, _WHEELS_S = 900.0, 600.0
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34", "manylinux_2_36")


def prepare() -> None:
    compose_tool.prepare()
    base_archive()
    wheels()


def base_archive() -> Path:
    """A Debian with what our image and the stand-ins build on, as a tar."""
    return kept("compose-base", digest(_RELEASE, _PACKAGES), _make_base) / "base.tar"


def _make_base(folder: Path) -> None:
    options = ("--mode=root", "--variant=apt", f"--include={_PACKAGES}")
    run(have("mmdebstrap"), *options, _RELEASE, folder / "base.tar", within_s=_BASE_S, tries=2)


def wheels() -> Path:
    """All that `pip install upwhisk[distributed]` needs in that Debian, and what builds our wheel."""
    return kept("compose-wheels", digest("\n".join(_requirements()), _PYTHON, *_TAGS), _fetch_wheels)


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    fields = project["project"]
    optional = fields["optional-dependencies"]["distributed"]
    return [*fields["dependencies"], *optional, *project["build-system"]["requires"]]


def _fetch_wheels(folder: Path) -> None:
    words = ["--only-binary=:all:", f"--python-version={_PYTHON}", "--implementation=cp"]
    words += [f"--abi={abi}" for abi in (f"cp{_PYTHON.replace('.', '')}", "abi3", "none")]
    words += [f"--platform={tag}_{platform.machine()}" for tag in _TAGS]
    pip = (ROOT / ".venv/bin/python", "-m", "pip", "download", "--quiet", "--dest", folder)
    run(*pip, *words, *_requirements(), within_s=_WHEELS_S, tries=2)
