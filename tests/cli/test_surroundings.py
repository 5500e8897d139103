"""What the command says when all around it is not as it should be: no platform, no properties, no room for its output."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.command import Command

USAGE = "Run 'upwhisk --help' for usage.\n"


async def test_nobody_there(tmp_path: Path) -> None:
    done = await Command(tmp_path, "http://127.0.0.1:1")("action", "list")
    assert (done.code, done.out) == (3, "")
    first, usage, hint = done.err.splitlines()
    assert first.startswith("error: Unable to obtain the list of actions for namespace 'default': Get \"http://127.0.0.1:1/")
    assert first.endswith(": connection refused")
    assert usage + "\n" == USAGE
    assert "upwhisk standalone" in hint


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "property get --auth", "property get --output json"])
async def test_an_output_that_takes_nothing(recorded: Command, arguments: str, buffering: str) -> None:
    """As on a full disk."""
    recorded.environment["PYTHONUNBUFFERED"] = buffering
    with open("/dev/full", "wb") as full:
        process = await recorded.start(*arguments.split(), stdout=full)
        _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (1, "error: No space left on device\n")


async def test_nothing_configured(tmp_path: Path) -> None:
    done = await Command(tmp_path)("action", "list")
    assert done.code == 1
    assert done.err.startswith(f"error: The API host is not valid: An API host must be provided.\n{USAGE}hint: ")
    done = await Command(tmp_path)("action", "list", "--apihost", "http://127.0.0.1:1")
    assert done.code == 2
    assert done.err.startswith(f"error: Authorization key is not configured (--auth is required)\n{USAGE}hint: ")


async def test_a_wrong_key(upwhisk: Command) -> None:
    upwhisk.key = "wrong"
    done = await upwhisk("action", "list")
    assert done.code == 145
    assert "The supplied authentication is invalid (code " in done.err
    assert "hint: check the key" in done.err
