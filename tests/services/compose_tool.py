"""The tool that reads Compose files, built from source. It needs no engine for checking them."""

from __future__ import annotations

from pathlib import Path

from services.golang import built, program

RECIPE = Path(__file__).parent / "build/compose"
_PACKAGE = "github.com/docker/compose/v2/cmd"
_NAME = "docker-compose"


def prepare() -> Path:
    """Build it: a minute or two."""
    return built(RECIPE, _PACKAGE, _NAME)


def tool() -> Path:
    """The program. Raises `Unavailable`."""
    return program(RECIPE, _NAME, prepare_as="compose")
