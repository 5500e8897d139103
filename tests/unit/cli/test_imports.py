"""What makes commands quick: heavy modules are not loaded for them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_HEAVY = ("aiohttp", "structlog", "rich", "msgspec", "asyncio", "uvloop", "yaml", "psutil", "sqlite3", "zipfile",
          "prometheus_client", "importlib.metadata")  # fmt: skip
_SCRIPT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from upwhisk.cli.__main__ import run
with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
    run(json.loads(sys.argv[1]))
print(json.dumps(sorted(sys.modules)))
"""


def _loaded(*arguments: str) -> set[str]:
    environment = {"WHISK_APIHOST": "http://127.0.0.1:9", "WHISK_AUTH": "a:b", "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(arguments)],
        env=environment, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("action", "--help"), ("action", "list"), ("activation", "get", "--last"), ("trigger", "fire", "t"),
     ("admin", "--help"), ("doctor", "--help"), ("property", "get", "--apihost")],
)  # fmt: skip
def test_simple_commands_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert _loaded(*arguments) & set(_HEAVY) == set()


@pytest.mark.parametrize("arguments", [("--help",), ("action", "--help"), ("rule", "create", "--help")])
def test_help_loads_no_http(arguments: tuple[str, ...]) -> None:
    loaded = _loaded(*arguments)
    assert "click" in loaded
    assert loaded & {"http.client", "ssl", "email.parser"} == set()


def test_the_top_level_help_loads_no_command() -> None:
    assert not [name for name in _loaded("--help") if name.startswith("upwhisk.cli.commands.")]
