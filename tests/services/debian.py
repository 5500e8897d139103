"""Debian packages that the services need, installed in one call."""

from __future__ import annotations

import os
import shutil

from services.cache import locked
from services.commands import run
from services.errors import Unavailable

_INSTALL_S = 600.0
_OPTIONS = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3")
_SYSTEM_PATH = "/usr/sbin:/sbin"


def install(programs: dict[str, str]) -> None:
    """Have each program; the values name the packages they come in. Raises `Unavailable`."""
    if not missing(programs):
        return
    with locked("debian"):
        packages = missing(programs)
        if not packages:
            return
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unavailable(f"as root: apt-get install --no-install-recommends {' '.join(packages)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", *_OPTIONS, "update", "-qq", within_s=_INSTALL_S, environment=quiet, tries=3)
        command = ("apt-get", *_OPTIONS, "install", "-y", "-qq", "--no-install-recommends", *packages)
        run(*command, within_s=_INSTALL_S, environment=quiet, tries=3)


def missing(programs: dict[str, str]) -> list[str]:
    """Packages of the programs that are not there."""
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"
    return sorted(
        {package for program, package in programs.items() if shutil.which(program, path=path) is None}
    )
