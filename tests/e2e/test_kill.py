"""kill -9 at a known moment: what becomes of each sort of work. The random moments are in tests/crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.running import Running

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]

SLEEPS = "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {'n': a.get('n', 0) + 1}"
STARTED = "The platform stopped while the action was running; it is not annotated retry-safe, so it was not run again."
TRIED = "The platform stopped while the action was running, 3 times."


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Running]:
    """A node with room for two guests."""
    running = Running(tmp_path / "data", {"UPWHISK_NODE_MEMORY_MB": "256"}).start()
    running.deploy("sleeps", SLEEPS, limits={"memory": 128})
    safe = [{"key": "retry-safe", "value": True}]
    running.deploy("safe", SLEEPS, limits={"memory": 128}, annotations=safe)
    for name, parts in {"inner": ["safe", "sleeps"], "outer": ["sleeps", "inner", "sleeps"]}.items():
        exec_ = {"kind": "sequence", "components": [f"/_/{part}" for part in parts]}
        assert running.call("PUT", f"/_/actions/{name}", {"exec": exec_})[0] == 200
    yield running
    running.stop()


def accepted(platform: Running, name: str, query: str = "blocking=false", **arguments: Any) -> str:
    status, answer = platform.invoke(name, arguments, query)
    assert status == 202, answer
    id_: str = answer["activationId"]
    return id_


def runs(platform: Running, id_: str, attempt: int = 1) -> None:
    """Wait until it runs, for the `attempt`th time."""
    deadline = time.monotonic() + 15
    while True:
        live = platform.call("GET", f"//upwhisk/v1/activations/{id_}")[1]
        if live.get("state") == "running":
            assert live["attempt"] == attempt
            return
        assert time.monotonic() < deadline, live
        time.sleep(0.02)


def kill_and_start(platform: Running) -> None:
    platform.kill()
    platform.start()


def test_started_work_ends_and_queued_work_runs(platform: Running) -> None:
    late = accepted(platform, "sleeps", "blocking=true&timeout=100", s=2)
    running = accepted(platform, "sleeps", s=2)
    runs(platform, running)
    queued = [accepted(platform, "sleeps", n=n) for n in range(3)]
    queued_late = accepted(platform, "sleeps", "blocking=true&timeout=50", n=3)
    sequence = accepted(platform, "outer")
    kill_and_start(platform)
    for id_ in (late, running):
        response = platform.record(id_)["response"]
        assert (response["status"], response["result"]) == ("whisk internal error", {"error": STARTED})
    for n, id_ in enumerate((*queued, queued_late)):
        assert platform.record(id_)["response"]["result"] == {"n": n + 1}
    assert platform.record(sequence)["response"]["result"] == {"n": 4}
    listed = [one["activationId"] for one in platform.call("GET", "/_/activations?limit=200")[1]]
    assert len(listed) == len(set(listed)) == 2 + 4 + 1 + 5, "one record each, those of the components too"


def test_retry_safe_work_runs_three_times_at_most(platform: Running) -> None:
    once, thrice = accepted(platform, "safe", s=1.5), accepted(platform, "safe", s=15)
    runs(platform, once)
    runs(platform, thrice)
    kill_and_start(platform)
    runs(platform, once, attempt=2)
    runs(platform, thrice, attempt=2)
    assert platform.record(once)["response"]["result"] == {"n": 1}
    kill_and_start(platform)
    runs(platform, thrice, attempt=3)
    kill_and_start(platform)
    response = platform.record(thrice)["response"]
    assert (response["status"], response["result"]) == ("whisk internal error", {"error": TRIED})


def ended(platform: Running, name: str) -> int:
    """How many records an action has."""
    return len(platform.call("GET", f"/_/activations?name={name}&limit=200")[1])


def test_a_sequence_goes_on_from_its_progress(platform: Running) -> None:
    slow = SLEEPS.replace("a.get('s', 0)", "2")
    platform.deploy("safe", slow, limits={"memory": 128}, annotations=[{"key": "retry-safe", "value": True}])
    sequence = accepted(platform, "outer")
    deadline = time.monotonic() + 15
    while not ended(platform, "sleeps"):
        assert time.monotonic() < deadline, "its first component has not ended"
        time.sleep(0.02)
    assert ended(platform, "safe") == 0
    kill_and_start(platform)
    record = platform.record(sequence)
    assert record["response"]["result"] == {"n": 4}
    inner = platform.record(record["logs"][1])
    assert inner["cause"] == sequence
    assert [platform.record(id_)["name"] for id_ in inner["logs"]] == ["safe", "sleeps"]
    assert [platform.record(id_)["name"] for id_ in record["logs"]] == ["sleeps", "inner", "sleeps"]
    assert (ended(platform, "sleeps"), ended(platform, "safe")) == (3, 1)
