"""Work whose node is lost, stopped or drained too soon: what had not started, or may run again, runs elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cluster.calls import at, node_of, upwhisk
from cluster.test_fleet import SLEEPER, any_running, nodes, wait_for
from fleet.fleet import Fleet
from services.child import Child

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(180)]
RETRY_SAFE = [{"key": "retry-safe", "value": True}]


def ends_of(fleet: Fleet, ids: list[str]) -> list[dict[str, Any]]:
    return [at(fleet, 0).record(id_, within_s=60) for id_ in ids]


def test_callers_of_a_node_that_hangs_get_their_answers_from_another(fleet: Fleet) -> None:
    """It never got their work, so nothing has started, and it need not be retry-safe."""
    client = at(fleet, 0)
    client.deploy("waited", SLEEPER)
    node = fleet.invokers[1]
    with ThreadPoolExecutor(8) as pool:
        node.pause()
        try:
            calls = [pool.submit(client.invoke, "waited", {"s": 1, "n": n}) for n in range(8)]
            answers = [call.result(60) for call in calls]
        finally:
            node.resume()
    assert [status for status, _ in answers] == [200] * 8, answers
    assert {node_of(record) for _, record in answers} == {"n1"}
    wait_for(lambda: nodes(fleet)["n2"] == "up", "the node is back")


def test_a_drains_deadline(fleet: Fleet) -> None:
    """What is retry-safe runs elsewhere; the rest ends with the drain and its reason."""
    client = at(fleet, 0)
    client.deploy("breaks", SLEEPER)
    client.deploy("again", SLEEPER, annotations=RETRY_SAFE)
    ids = {client.invoke(name, {"s": 8}, query="blocking=false")[1]["activationId"]: name for name in ("breaks", "again") * 3}
    wait_for(lambda: any_running(client, {i: n for i, n in ids.items() if n == "again"}, "n2"), "work that may run again runs on n2")
    wait_for(lambda: any_running(client, {i: n for i, n in ids.items() if n == "breaks"}, "n2"), "other work runs on n2")
    upwhisk(fleet, "node", "drain", "n2", "--deadline", "1", "--reason", "a new disk")
    try:
        ended = dict(zip(ids, ends_of(fleet, list(ids)), strict=True))
    finally:
        upwhisk(fleet, "node", "undrain", "n2")
    again = [record for id_, record in ended.items() if ids[id_] == "again"]
    assert all(record["response"]["success"] for record in again), again
    assert "n2" not in map(node_of, again)
    texts = {r["response"]["result"]["error"] for r in ended.values() if not r["response"]["success"]}
    assert texts == {
        "The action had not finished when node 'n2' was drained (a new disk) and the drain's deadline had passed; "
        "it is not annotated retry-safe, so it was not run again."
    }
    wait_for(lambda: nodes(fleet)["n2"] == "up", "it takes work again")


def test_the_record_of_lost_work_says_where_it_was(fleet: Fleet) -> None:
    client = at(fleet, 0)
    client.deploy("placed", SLEEPER)
    ids = [client.invoke("placed", {"s": 5}, query="blocking=false")[1]["activationId"] for _ in range(4)]
    wait_for(lambda: any_running(client, dict.fromkeys(ids, ""), "n2"), "something runs on n2")
    fleet.invokers[1].kill()
    try:
        lost = [record for record in ends_of(fleet, ids) if not record["response"]["success"]]
    finally:
        fleet.invokers[1].start()
    assert lost
    for record in lost:
        notes = {note["key"]: note["value"] for note in record["annotations"]}
        assert notes["upwhisk"]["node"] == "n2"
        assert notes["upwhisk"]["why"]["considered"] == 2
        assert notes["limits"]["memory"] == 256
        why = client.call("GET", f"//upwhisk/v1/activations/{record['activationId']}/why")[1]
        assert (why["node"], why["policy"]) == ("n2", "warm")
    wait_for(lambda: nodes(fleet)["n2"] == "up", "the node is back")


def test_a_second_node_of_a_name_is_refused(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "upwhisk.cli", "invoker", "--config", str(fleet.config), "--name", "n1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "setting node.name: a node 'n1' is there already" in done.stderr
    assert "Traceback" not in done.stderr
    shown = json.loads(upwhisk(fleet, "node", "list", "--output", "json"))
    assert [row["state"] for row in shown if row["node"] == "n1"] == ["up"]


def test_a_node_that_comes_back_to_find_its_name_taken_ends(fleet: Fleet, tmp_path: Path) -> None:
    client, node = at(fleet, 0), fleet.invokers[1]
    client.deploy("named", SLEEPER)
    command = [sys.executable, "-m", "upwhisk.cli", "invoker", "--config", str(fleet.config), "--name", "n2"]
    other = Child(command, tmp_path / "log", os.environ, tmp_path)
    node.pause()
    try:
        other.start()
        wait_for(lambda: "node n2 is ready" in (tmp_path / "log").read_text(), "another takes the name", 60)
        node.resume()
        wait_for(lambda: not node.running, "the first one ends", 60)
        assert "another process has taken the name 'n2' of this node" in node.log_file.read_text()
        statuses = [client.invoke("named", {"s": 0})[0] for _ in range(6)]
        assert statuses == [200] * 6
    finally:
        other.stop(45.0)
        node.kill()
        node.start()
    wait_for(lambda: nodes(fleet)["n2"] == "up", "the node is back")
