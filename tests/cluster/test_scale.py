"""Two controllers and four nodes under more calls than they can take: nodes that come, die, and restart one by one."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from cluster.calls import at, node_of
from cluster.proxied import Proxied, most_at_once
from cluster.test_fleet import SLEEPER, wait_for
from fleet.fleet import Fleet
from fleet.load import Load
from fleet.metrics import metrics_of
from fleet.occupancy import Occupancy, booked, work_taken
from fleet.settings import Tuning
from services.errors import Unavailable
from services.fixtures import missing

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(300)]

PERMITS = 2
"""Of each node: one for each controller."""
CALLERS = 24
NAP = SLEEPER.replace("args['s']", "0.1")


@pytest.fixture(scope="module")
def crowd() -> Iterator[Fleet]:
    try:
        made = Fleet(controllers=2, invokers=4, tuning=Tuning(memory_mb=PERMITS * 256)).start()
    except Unavailable as error:
        missing(error)
    try:
        at(made, 0).deploy("nap", NAP)
        wait_for(lambda: all(metrics_of(url)["upwhisk_controllers"] == 2 for url in made.urls), "controllers know each other")
        yield made
    finally:
        made.stop()


def test_no_node_has_more_than_its_permits(crowd: Fleet) -> None:
    callers = Proxied(crowd)
    with Occupancy(crowd, every_s=0.1) as occupancy, Load(callers, "nap", CALLERS) as load:
        load.wait_answered(400)
    assert load.said == []
    assert occupancy.looks >= 10
    names = {node.name for node in crowd.invokers}
    for most in (occupancy.open, occupancy.booked, most_at_once(callers.records)):
        assert set(most) == names, "every node has its part"
        assert max(most.values()) == PERMITS, "as many as there are permits, and no more"


def test_a_new_node_takes_work(crowd: Fleet) -> None:
    with Load(Proxied(crowd), "nap", CALLERS) as load:
        load.wait_answered(20)
        node = crowd.add_invoker()
        node.wait_ready()
        wait_for(lambda: work_taken(node) > 0, "the new node has work")
    assert load.said == []


def test_a_dead_node_gets_nothing(crowd: Fleet) -> None:
    victim, callers = crowd.invokers[0], Proxied(crowd)
    with Load(callers, "nap", CALLERS) as load:
        wait_for(lambda: booked(crowd)[victim.name] > 0, "it has work when it dies")
        victim.kill()
        try:
            wait_for(lambda: all(states(url)[victim.name] == "down" for url in crowd.urls), "both controllers know")
            assert booked(crowd)[victim.name] == 0, "what it had is lost to it"
            before = len(callers.records)
            with Occupancy(crowd, every_s=0.05) as occupancy:
                load.wait_answered(100)
            assert occupancy.booked[victim.name] == 0
            assert victim.name not in {node_of(record) for record in callers.records[before + CALLERS :]}
        finally:
            victim.start()
    assert len(load.failures) <= PERMITS, "only what ran there when it died"
    assert all("node that was lost" in json.dumps(answer) for _, _, answer in load.failures)
    wait_for(lambda: all(states(url)[victim.name] == "up" for url in crowd.urls), "it is back")


def test_a_rolling_restart_fails_no_call(crowd: Fleet) -> None:
    """Controllers and nodes one after the other, while callers call: no call fails, no accepted id is lost."""
    callers = Proxied(crowd, every=5)
    with Load(callers, "nap", 8) as load:
        for member in (*crowd.controllers, *crowd.invokers[:2]):
            load.wait_answered(30)
            member.stop()
            load.wait_answered(30)
            member.start()
        load.wait_answered(30)
    assert load.said == []
    assert len(callers.accepted) > 30
    client = at(crowd, 1)
    assert all(client.record(id_)["response"]["success"] for id_ in callers.accepted)


def states(url: str) -> dict[str, str]:
    """Node -> its state as this controller sees it."""
    with urllib.request.urlopen(f"{url}/invokers", timeout=5) as answer:
        found: dict[str, str] = json.load(answer)
    return {name.partition("/")[2]: state for name, state in found.items()}  # invoker0/n1
