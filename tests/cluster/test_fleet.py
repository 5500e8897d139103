"""A fleet from real parts: controllers that agree, nodes that come, drain and go, what dies and what is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster.calls import at, node_of, upwhisk
from fakes.running import Running
from fleet.fleet import Fleet
from fleet.occupancy import booked

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(180)]
HELLO = "def main(args):\n    return {'hello': args.get('name', 'you')}\n"
SLEEPER = "import time\ndef main(args):\n    time.sleep(args['s'])\n    return {'slept': args['s']}\n"


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 30.0) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def nodes(fleet: Fleet) -> dict[str, str]:
    return {row["node"]: row["state"] for row in json.loads(upwhisk(fleet, "node", "list", "--output", "json"))}


def test_controllers_agree_on_actions_and_records(fleet: Fleet) -> None:
    first, second = at(fleet, 0), at(fleet, 1)
    first.deploy("agreed", HELLO)
    status, record = second.invoke("agreed", {"name": "a"})
    assert (status, record["response"]["result"]) == (200, {"hello": "a"})
    assert first.record(record["activationId"], within_s=5)["response"]["success"]
    second.deploy("agreed", HELLO.replace("hello", "goodbye"))
    wait_for(lambda: first.invoke("agreed")[1]["response"]["result"] == {"goodbye": "you"}, "the new code at the first", 5)


def test_an_id_accepted_by_one_is_served_by_another(fleet: Fleet) -> None:
    first, second = at(fleet, 0), at(fleet, 1)
    first.deploy("kept", HELLO)
    status, accepted = first.invoke("kept", {"name": "b"}, query="blocking=false")
    assert status == 202
    assert second.record(accepted["activationId"])["response"]["result"] == {"hello": "b"}


def test_a_drained_node_gets_nothing_and_its_work_ends(fleet: Fleet) -> None:
    client = at(fleet, 0)
    client.deploy("slow", SLEEPER)
    _, accepted = client.invoke("slow", {"s": 2}, query="blocking=false")
    upwhisk(fleet, "node", "drain", "n1", "--reason", "a new disk")
    try:
        wait_for(lambda: nodes(fleet)["n1"] == "draining", "the drain is seen")
        ran = {node_of(client.invoke("slow", {"s": 0})[1]) for _ in range(6)}
        assert ran == {"n2"}
        assert client.record(accepted["activationId"])["response"]["success"]
        shown = json.loads(upwhisk(fleet, "node", "show", "n1", "--output", "json"))
        assert "a new disk" in shown["reason"]
    finally:
        upwhisk(fleet, "node", "undrain", "n1")
    wait_for(lambda: nodes(fleet)["n1"] == "up", "it takes work again")


def test_a_drain_outlives_a_restart_of_its_node(fleet: Fleet) -> None:
    upwhisk(fleet, "node", "drain", "n2")
    try:
        wait_for(lambda: nodes(fleet)["n2"] == "draining", "the drain is seen")
        fleet.invokers[1].restart()
        assert nodes(fleet)["n2"] == "draining"
    finally:
        upwhisk(fleet, "node", "undrain", "n2")
    wait_for(lambda: nodes(fleet)["n2"] == "up", "it takes work again")


def test_a_node_that_was_drained_and_stopped_is_removed_with_its_drain(fleet: Fleet) -> None:
    upwhisk(fleet, "node", "drain", "n2", "--reason", "it is sold")
    fleet.invokers[1].stop()
    try:
        wait_for(lambda: "n2" not in nodes(fleet), "it left")
        upwhisk(fleet, "node", "remove", "n2")
    finally:
        fleet.invokers[1].start()
    wait_for(lambda: nodes(fleet).get("n2") == "up", "another machine of that name takes work")


def test_a_node_that_is_removed_while_it_runs_comes_back_as_it_was(fleet: Fleet) -> None:
    upwhisk(fleet, "node", "drain", "n2", "--reason", "it is sold")
    try:
        wait_for(lambda: nodes(fleet)["n2"] == "draining", "the drain is seen")
        assert "comes back until it is stopped" in upwhisk(fleet, "node", "remove", "n2", "--force")
        wait_for(lambda: nodes(fleet).get("n2") == "draining", "it comes back and drains on")
    finally:
        upwhisk(fleet, "node", "undrain", "n2")
    wait_for(lambda: nodes(fleet)["n2"] == "up", "it takes work again")


def test_who_waits_for_long_work_when_its_controller_stops_gets_the_id(fleet: Fleet) -> None:
    stopping, usual = fleet.controllers[1], fleet.controllers[1].environment
    at(fleet, 0).deploy("slow", SLEEPER)
    stopping.environment = {**usual, "UPWHISK_SERVER_DRAIN_S": "1"}
    stopping.restart()
    answers: list[tuple[int, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(at(fleet, 1).invoke("slow", {"s": 12})))
    try:
        caller.start()
        wait_for(lambda: any(booked(fleet).values()), "a node has it")
        stopping.stop()
        caller.join(30)
    finally:
        stopping.environment = usual
        stopping.start()
    ((status, answer),) = answers
    assert (status, set(answer)) == (202, {"activationId"})
    assert at(fleet, 0).record(answer["activationId"])["response"]["success"], "another controller went on with it"


def test_three_who_prepare_a_fleet_at_once_agree_on_its_key(fleet: Fleet, tmp_path: Path) -> None:
    environment = {**os.environ, "UPWHISK_COUCHDB_PREFIX": "three_", "UPWHISK_COUCHDB_KEY_FILE": str(tmp_path / "key")}
    files = [tmp_path / f"wskprops{number}" for number in range(3)]
    command = [sys.executable, "-m", "upwhisk.cli", "init", "--config", str(fleet.config), "--wskprops"]
    running = [
        subprocess.Popen([*command, str(file)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for file in files
    ]
    said = [process.communicate(timeout=90)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert len({file.read_text() for file in files}) == 1, "nobody was given a key that does not work"
    assert sum("shown this once" in text for text in said) == 1


def test_work_of_a_dead_node_ends_with_the_reason_or_runs_elsewhere(fleet: Fleet) -> None:
    client = at(fleet, 0)
    client.deploy("lost", SLEEPER)
    client.deploy("again", SLEEPER, annotations=[{"key": "retry-safe", "value": True}])
    ids = {}
    for name in ("lost", "again"):
        for _ in range(4):  # some on each node
            status, accepted = client.invoke(name, {"s": 3}, query="blocking=false")
            assert status == 202
            ids[accepted["activationId"]] = name
    wait_for(lambda: any_running(client, ids, "n2"), "something runs on n2")
    fleet.invokers[1].kill()
    try:
        ends = {id_: client.record(id_, within_s=60)["response"] for id_ in ids}
    finally:
        fleet.invokers[1].start()
    assert all(end["success"] for id_, end in ends.items() if ids[id_] == "again")
    lost = [end["result"]["error"] for end in ends.values() if not end["success"]]
    assert all("node that was lost" in text for text in lost)
    wait_for(lambda: nodes(fleet)["n2"] == "up", "the node is back")


def any_running(client: Running, ids: dict[str, str], node: str) -> bool:
    live = (client.call("GET", f"//upwhisk/v1/activations/{id_}") for id_ in ids)
    return any(status == 200 and found.get("node") == node and found.get("state") == "running" for status, found in live)


def test_what_a_dead_controller_accepted_goes_on_in_another(fleet: Fleet) -> None:
    first, second = at(fleet, 0), at(fleet, 1)
    first.deploy("step", SLEEPER.replace("{'slept': args['s']}", "args"))
    status, _ = first.call(
        "PUT", "/_/actions/steps?overwrite=true", {"exec": {"kind": "sequence", "components": ["/_/step"] * 3}}
    )
    assert status == 200
    accepted = [first.invoke("steps", {"s": 1}, query="blocking=false")[1]["activationId"] for _ in range(3)]
    fleet.controllers[0].kill()
    try:
        for id_ in accepted:
            record = second.record(id_, within_s=60)
            assert record["response"]["success"], record
            assert len(record["logs"]) == 3
    finally:
        fleet.controllers[0].start()
