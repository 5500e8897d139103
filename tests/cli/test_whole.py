"""Commands against a whole platform: real guests, following, the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
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
    assert {name for name in set(os.listdir("/tmp")) - folders if name.startswith("uwdoc")} == set()


async def test_the_doctor_says_what_is_missing(tmp_path: Path) -> None:
    """In a mount namespace of its own, without any cgroup file system."""
    if os.geteuid() != 0:
        pytest.skip("hides file systems, which needs root")
    hide = "umount -R /sys/fs/cgroup && exec " + shlex.join([sys.executable, "-m", "upwhisk.cli", "doctor", "--output", "json"])
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide],
        capture_output=True, check=False, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    bad = [one for one in json.loads(done.stdout) if one["mark"] == "bad"]
    assert {one["topic"] for one in bad} == {"cgroups", "confinement"}
    assert all("mount -t cgroup2" in one["text"] for one in bad), "the remedy is named"
