"""Go programs built from a module of two committed files."""

from __future__ import annotations

import shutil
from pathlib import Path

from services.cache import cache_folder, digest, kept, place
from services.commands import have, run
from services.errors import Unavailable

_FETCH_S = 900.0
_BUILD_S = 2400.0
_VERSION_S = 30.0


def key(recipe: Path) -> str:
    try:
        have("go")
    except Unavailable:
        raise Unavailable(
            "'go' is not installed: Go 1.23 or later builds the services (https://go.dev/dl)"
        ) from None
    return digest(recipe, run("go", "version", within_s=_VERSION_S))


def built(recipe: Path, package: str, name: str) -> Path:
    """The program, built once for each version of its module and of Go; both caches are dropped afterwards."""
    return kept(name, key(recipe), lambda folder: _build(recipe, package, folder / name)) / name


def program(recipe: Path, name: str, *, prepare_as: str = "") -> Path:
    """The program that `built` made. Raises `Unavailable`."""
    found = place(name, key(recipe)) / name
    if not found.exists():
        raise Unavailable(f"{name} is not prepared: run scripts/services prepare {prepare_as or name}")
    return found


def _build(recipe: Path, package: str, target: Path) -> None:
    work = (
        cache_folder() / f"{target.name}-go-work"
    )  # stays if the build is cut off: the next goes on from there
    environment = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "build"),
        "GOWORK": "off",
    }
    run("go", "list", "-deps", package, within_s=_FETCH_S, cwd=recipe, environment=environment, tries=3)
    command = (
        "nice",
        "-n",
        "10",
        "go",
        "build",
        "-p",
        "2",
        "-trimpath",
        "-ldflags",
        "-s -w",
        "-o",
        target,
        package,
    )
    run(*command, within_s=_BUILD_S, cwd=recipe, environment=environment)
    shutil.rmtree(work, ignore_errors=True)
