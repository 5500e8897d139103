"""SIGTERM: what runs may finish, what waits is kept for the next start, and nobody is left without an answer."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.running import Running

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(180)]

SLEEPS = "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {'n': a.get('n')}"
ROOM_FOR = 2
STOPPED = "The action had not finished when the platform was stopped; it is not annotated retry-safe, so it was not run again."
STARTED = "The platform stopped while the action was running; it is not annotated retry-safe, so it was not run again."


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Running]:
    """A node with room for two guests."""
    running = Running(tmp_path / "data", {"UPWHISK_NODE_MEMORY_MB": str(ROOM_FOR * 128)})
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


class Caller:
    """A blocking call in a thread."""

    def __init__(self, platform: Running, name: str, arguments: dict[str, Any]) -> None:
        self._answers: list[tuple[float, int, Any]] = []

        def call() -> None:
            status, answer = platform.invoke(name, arguments)
            self._answers.append((time.monotonic(), status, answer))

        self._thread = threading.Thread(target=call)
        self._thread.start()

    def answer(self) -> tuple[float, int, Any]:
        """When it came (monotonic, s), its status and body."""
        self._thread.join(40)
        assert self._answers, "the caller was left without an answer"
        return self._answers[0]


def until(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def state(platform: Running, id_: str) -> str:
    found: str = platform.call("GET", f"//upwhisk/v1/activations/{id_}")[1].get("state", "")
    return found


def later(platform: Running, name: str, **arguments: Any) -> str:
    """The id of a call that does not wait."""
    status, answer = platform.invoke(name, arguments, "blocking=false")
    assert status == 202, answer
    id_: str = answer["activationId"]
    return id_


def deploy(platform: Running) -> None:
    platform.deploy("sleeps", SLEEPS, limits={"memory": 128})
    safe = [{"key": "retry-safe", "value": True}]
    platform.deploy("safe", SLEEPS, limits={"memory": 128}, annotations=safe)
    sequence = {"exec": {"kind": "sequence", "components": ["/_/sleeps", "/_/sleeps"]}}
    assert platform.call("PUT", "/_/actions/twice", sequence)[0] == 200


def run_until_full(platform: Running, seconds: float) -> list[str]:
    """Occupy the whole node; returns the ids of what runs."""
    ids = [later(platform, "sleeps", s=seconds, n=n) for n in range(ROOM_FOR)]
    for id_ in ids:
        until(lambda id_=id_: state(platform, id_) == "running", f"{id_} does not run")  # type: ignore[misc]
    return ids


def refuses(platform: Running) -> bool:
    return platform.call("GET", "/_/actions")[0] == 503


def test_running_work_finishes_and_queued_work_runs_at_the_next_start(platform: Running) -> None:
    platform.start()
    deploy(platform)
    waiting_caller = Caller(platform, "sleeps", {"n": 7})
    assert waiting_caller.answer()[1] == 200
    running = run_until_full(platform, 2.5)
    sequence = later(platform, "twice", n=3)
    queued = [later(platform, "sleeps", n=n) for n in (4, 5)]
    assert [state(platform, id_) for id_ in queued] == ["queued", "queued"]
    waiting_caller, waiting_for_sequence = Caller(platform, "sleeps", {"n": 6}), Caller(platform, "twice", {"n": 8})
    until(lambda: waiting_calls(platform) >= 2, "the blocking callers do not wait")
    platform.signal(signal.SIGTERM)
    until(lambda: refuses(platform), "new requests are not refused")
    came, status, told = waiting_caller.answer()
    assert (status, list(told)) == (202, ["activationId"])
    assert platform.process is not None
    assert platform.process.poll() is None, "who waits for queued work is told at once, not at the end"
    assert platform.process.wait(40) == 0
    assert time.monotonic() - came > 0.5
    status, sequence_told = waiting_for_sequence.answer()[1:]
    assert status == 202
    platform.start()
    for n, id_ in enumerate(running):
        assert platform.record(id_)["response"]["result"] == {"n": n}
    for n, id_ in zip((4, 5, 6, 3, 8), (*queued, told["activationId"], sequence, sequence_told["activationId"]), strict=True):
        assert platform.record(id_)["response"]["result"] == {"n": n}
        listed = platform.call("GET", "/_/activations?limit=200")[1]
        assert [one["activationId"] for one in listed].count(id_) == 1


def waiting_calls(platform: Running) -> int:
    """Connections to the listener that are established, without the one of this question."""
    port = int(platform.url.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(1 for f in fields if int(f[1].partition(":")[2], 16) == port and f[3] == "01")


def test_running_work_ends_after_the_deadline(platform: Running) -> None:
    platform.environment["UPWHISK_SERVER_DRAIN_S"] = "0.5"
    platform.start()
    deploy(platform)
    caller = Caller(platform, "sleeps", {"s": 40})
    id_ = later(platform, "sleeps", s=40)
    until(lambda: state(platform, id_) == "running", "it does not run")
    began = time.monotonic()
    assert platform.stop() == 0
    assert 0.5 <= time.monotonic() - began < 10
    status, told = caller.answer()[1:]
    assert (status, told["response"]["result"]) == (500, {"error": STOPPED})
    platform.start()
    for one in (id_, told["activationId"]):
        response = platform.record(one)["response"]
        assert (response["status"], response["result"]) == ("whisk internal error", {"error": STOPPED})


def test_a_second_signal_stops_at_once(platform: Running) -> None:
    platform.start()
    deploy(platform)
    unsafe, safe = later(platform, "sleeps", s=4), later(platform, "safe", s=4, n=1)
    for id_ in (unsafe, safe):
        until(lambda id_=id_: state(platform, id_) == "running", "it does not run")  # type: ignore[misc]
    platform.signal(signal.SIGTERM)
    until(lambda: refuses(platform), "new requests are not refused")
    platform.signal(signal.SIGTERM)
    assert platform.process is not None
    assert platform.process.wait(2) == 130
    platform.start()
    assert platform.record(unsafe)["response"]["result"] == {"error": STARTED}
    record = platform.record(safe)
    assert record["response"]["result"] == {"n": 1}
    ours = next(a["value"] for a in record["annotations"] if a["key"] == "upwhisk")
    assert ours["attempt"] == 2


def test_a_platform_that_is_being_stopped_keeps_its_folder(platform: Running) -> None:
    """One data folder, one instance: also while the first one drains, and no longer than that."""
    platform.start()
    deploy(platform)
    id_ = later(platform, "sleeps", s=6)
    until(lambda: state(platform, id_) == "running", "it does not run")
    platform.signal(signal.SIGTERM)
    until(lambda: refuses(platform), "new requests are not refused")
    first = platform.process
    assert first is not None
    second = Running(platform.data)
    with pytest.raises(AssertionError, match=f"in use by process {first.pid}"):
        second.start()
    assert first.wait(40) == 0
    assert platform.start().record(id_)["response"]["success"]
