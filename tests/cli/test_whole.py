"""Commands against a whole platform: real guests, following, the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from cli.command import Command
from fakes.running import Running
from sandbox.guests import leftovers

pytestmark = pytest.mark.sandbox


async def test_deploy_and_call(whole: Command) -> None:
    folder = whole.folder / "shout"
    folder.mkdir()
    (folder / "__main__.py").write_text(
        "from words import loud\ndef main(args):\n    print('called')\n    return {'text': loud(args['text'])}\n"
    )
    (folder / "words.py").write_text("def loud(text):\n    return text.upper() + '!'\n")
    (whole.folder / "run.sh").write_text('#!/bin/sh\necho \'{"native": true}\'\n')
    assert (await whole("action", "create", "shout", "shout")).code == 0
    assert (await whole("action", "invoke", "shout", "-r", "-p", "text", "hé")).data == {"text": "HÉ!"}
    assert (await whole("action", "create", "script", "run.sh", "--native")).code == 0
    assert (await whole("action", "invoke", "script", "-r")).data == {"native": True}


async def test_a_compiled_program_is_sent_as_it_is(whole: Command) -> None:
    done = await whole("action", "create", "program", "/bin/true", "--native")
    assert (done.code, done.err) == (0, "")
    done = await whole("action", "invoke", "program", "-b")
    assert done.code == 246, "it starts, and prints no result"
    assert "action developer error" in done.out


async def _wait_for_record(whole: Command, id: str) -> None:
    async with asyncio.timeout(20):
        while (await whole("activation", "get", id)).code != 0:
            await asyncio.sleep(0)


async def test_poll_follows_until_a_signal(whole: Command, standalone: Running) -> None:
    standalone.deploy("talk", "def main(args):\n    print('said', args['n'])\n    return {}\n")
    standalone.invoke("talk", {"n": 0})
    whole.environment["PYTHONUNBUFFERED"] = "1"
    process = await whole.start("activation", "poll", "talk", "--since-hours", "1")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        seen = b""
        while b"said 0" not in seen:
            seen += await process.stdout.readline()
        standalone.invoke("talk", {"n": 1})
        while b"said 1" not in seen:
            seen += await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        seen += await process.stdout.read()
        assert await process.wait() == 1
    text = seen.decode()
    assert text.startswith("Enter Ctrl-c to exit.\nPolling for activation logs\n\nActivation: 'talk' (")
    assert text.count("Activation: 'talk'") == 2, "none is shown twice"
    assert text.endswith("Poll terminated\n")


async def test_logs_can_be_stripped(whole: Command, standalone: Running) -> None:
    standalone.deploy("two", "import sys\ndef main(args):\n    print('out')\n    print('err', file=sys.stderr)\n    return {}\n")
    id = (await whole("action", "invoke", "two", "--output", "json")).data["activationId"]  # noqa: A001
    await _wait_for_record(whole, id)
    assert sorted((await whole("activation", "logs", id, "--strip")).lines) == ["err", "out"]
    assert all(" std" in line for line in (await whole("activation", "logs", id)).lines)


async def test_the_doctor_tries_guests_and_leaves_nothing(tmp_path: Path) -> None:
    before, folders = leftovers(), set(os.listdir("/tmp"))
    done = await Command(tmp_path)("doctor")
    assert done.code == 0, done.out + done.err
    assert "Guests can be confined here." in done.lines
    assert any(line.startswith("ok   confinement  a confined guest of kind python:") for line in done.lines)
    assert leftovers() == before
    assert {name for name in set(os.listdir("/tmp")) - folders if name.startswith("uw")} == set()


async def test_the_doctor_refuses_where_guests_cannot_be_confined(tmp_path: Path) -> None:
    """An ordinary user without a cgroup of their own."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user, which needs root")
    import subprocess
    import sys

    script = "import os, sys\nos.setgid(64321); os.setuid(64321)\nfrom upwhisk.cli.__main__ import run\nsys.exit(run(sys.argv[1:]))"
    importable = subprocess.run(
        [sys.executable, "-c", script.replace("sys.exit(run(sys.argv[1:]))", "")], capture_output=True, check=False, cwd="/"
    )
    if importable.returncode != 0:
        pytest.skip("this interpreter or checkout is closed to other users")
    done = subprocess.run(
        [sys.executable, "-c", script, "doctor", "--output", "json"],
        capture_output=True, check=False, cwd="/", env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)
    assert any(one["mark"] == "bad" and one["topic"] == "cgroups" for one in findings)
