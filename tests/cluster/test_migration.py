"""From one machine to a fleet and back to one machine: clients go on with their keys and see the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.calls import upwhisk
from fakes.running import Running
from fleet.fleet import Fleet

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(240)]
CODE = "# " + "x" * 1_200_000 + "\ndef main(args):\n    print('said')\n    return {'hello': args.get('name', 'you')}\n"
PATHS = ("actions", "actions/greet", "packages/tools", "packages", "triggers/door", "rules/on-door", "actions/tools/pair", "limits")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "alone").start()
    yield running
    running.stop()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "upwhisk.cli", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, timeout=120, check=False)


def admin(data: Path, *arguments: str) -> str:
    done = command("admin", *arguments, "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def deployed(client: Running) -> None:
    client.deploy("greet", CODE, annotations=[{"key": "ü", "value": "🐍"}])
    for path, body in (
        ("packages/tools", {"parameters": [{"key": "name", "value": "package"}], "publish": True}),
        ("actions/tools/pair", {"exec": {"kind": "sequence", "components": ["/_/greet", "/_/greet"]}}),
        ("triggers/door", {}),
        ("rules/on-door", {"trigger": "/_/door", "action": "/_/greet"}),
    ):
        status, answer = client.call("PUT", f"/_/{path}", body)
        assert status == 200, answer


def seen(client: Running) -> dict[str, Any]:
    found = {path: client.call("GET", f"/_/{path}") for path in PATHS}
    assert {status for status, _ in found.values()} == {200}
    return found


def test_a_client_goes_on_with_its_key(fleet: Fleet, alone: Running, tmp_path: Path) -> None:
    alice, mallory = (admin(alone.data, "user", "create", name) for name in ("alice", "mallory"))
    admin(alone.data, "user", "block", "mallory")
    admin(alone.data, "limits", "set", "alice", "--maxActionMemory", "256")
    here = Running(alone.data, url=alone.url, key=alice)
    deployed(here)
    status, record = here.invoke("greet", {"name": "Ada"})
    assert (status, record["response"]["result"]) == (200, {"hello": "Ada"})
    _, fired = here.call("POST", "/_/triggers/door", {"name": "Bob"})
    caused = json.loads(here.record(fired["activationId"])["logs"][0])["activationId"]
    records = {each: here.record(each) for each in (record["activationId"], fired["activationId"], caused)}
    before = seen(here)

    way = ("migrate", "embedded", "couchdb", "--data", str(alone.data), "--config", str(fleet.config))
    refused = command(*way)
    assert (refused.returncode, f"A platform runs on '{alone.data}'" in refused.stderr) == (1, True)
    assert alone.stop() == 0
    moved = command(*way)
    # The fleet's guest has a key of its own, which other tests use: it stays.
    assert moved.returncode == 1, moved.stdout + moved.stderr
    assert [line for line in moved.stderr.splitlines() if line.startswith("conflicts:")] == ["conflicts: subjects 'guest': keys"]
    assert alice.partition(":")[2] not in moved.stdout + moved.stderr

    for url in fleet.urls:
        there = Running(Path(), url=url, key=alice)
        assert seen(there) == before
        assert {each: there.record(each) for each in records} == records
        assert there.call("GET", "/_/actions", key=mallory)[0] == 401
        status, after = there.invoke("greet", {"name": "Eve"})
        assert (status, after["response"]["result"]) == (200, {"hello": "Eve"})
        assert there.record(after["activationId"])["logs"][0].endswith("stdout: said")

    upwhisk(fleet, "migrate", "couchdb", "embedded", "--data", str(tmp_path / "back"))
    back = Running(tmp_path / "back").start()
    try:
        again = Running(back.data, url=back.url, key=alice)
        assert seen(again) == before
        assert {each: again.record(each) for each in records} == records
        assert again.invoke("greet")[1]["response"]["result"] == {"hello": "you"}
    finally:
        assert back.stop() == 0
