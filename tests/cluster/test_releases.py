"""Two releases in one fleet: what both read restarts one by one without a failed call; what one cannot read ends all the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.calls import at
from cluster.proxied import Proxied
from cluster.test_fleet import HELLO, wait_for
from fleet import release
from fleet.fleet import Fleet
from fleet.load import Load
from fleet.member import Member
from fleet.metrics import metrics_of
from services.errors import Unavailable
from services.fixtures import missing

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(300)]

PROGRAM = str(Path(release.__file__))
BEFORE, NEXT, STRANGER = ["1", "2"], ["2", "1"], ["3", "-"]
"""What they write, and what else they read."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Fleet]:
    """A fleet of two controllers and two nodes."""
    try:
        made = Fleet().start()
    except Unavailable as error:
        missing(error)
    try:
        at(made, 0).deploy("hello", HELLO)
        yield made
    finally:
        made.stop()


def restart_as(member: Member, forms: list[str]) -> None:
    member.stop()
    member.program = [PROGRAM, *forms]
    member.start()


def unread(url: str) -> float:
    """Messages that the process at `url` could not read."""
    shown = metrics_of(url)
    return sum(value for series, value in shown.items() if series.startswith("upwhisk_messages_unreadable_total{"))


def test_the_next_release_comes_and_goes_under_load(pair: Fleet) -> None:
    """Upgraded one by one and back again, controllers and nodes mixed."""
    order = (pair.controllers[0], pair.invokers[0], pair.controllers[1], pair.invokers[1])
    for member in order:
        restart_as(member, BEFORE)
    callers = Proxied(pair, every=5)
    with Load(callers, "hello", 4) as load:
        for forms in (NEXT, BEFORE):
            for member in order:
                load.wait_answered(30)
                restart_as(member, forms)
        load.wait_answered(30)
    assert load.said == []
    assert len(callers.accepted) > 30
    client = at(pair, 0)
    assert all(client.record(id_)["response"]["success"] for id_ in callers.accepted)
    assert [unread(url) for url in (*pair.urls, *(node.metrics_url for node in pair.invokers))] == [0, 0, 0, 0]


def test_work_that_a_node_cannot_read_goes_to_another(pair: Fleet) -> None:
    stranger = pair.invokers[0]
    restart_as(stranger, ["3", "1"])
    restart_as(stranger, STRANGER)
    client = at(pair, 0)
    names = [f"hello-{number}" for number in range(12)]  # new ones: their homes are on both nodes, and nothing is warm
    for name in names:
        client.deploy(name, HELLO)
    accepted = [client.invoke(name, query="blocking=false")[1]["activationId"] for name in names]
    assert all(client.record(id_)["response"]["success"] for id_ in accepted)
    wait_for(lambda: unread(stranger.metrics_url) > 0, "it was offered some")


def test_an_answer_that_a_controller_cannot_read_is_an_end_with_the_reason(pair: Fleet) -> None:
    """The nodes read what controllers write, and write what controllers do not read."""
    for node in pair.invokers:
        restart_as(node, ["3", "1"])
    client = at(pair, 0)
    _, accepted = client.invoke("hello", query="blocking=false")
    record = client.record(accepted["activationId"])
    assert record["response"]["status"] == "whisk internal error"
    assert "form 3" in json.dumps(record["response"]["result"])
    assert unread(pair.urls[0]) > 0


def test_a_log_of_a_later_release_waits_for_one_that_reads_it(pair: Fleet) -> None:
    """A dead controller's accepted work is not passed over by one that cannot read it."""
    later = pair.controllers[0]
    for member in (*pair.invokers, later):
        restart_as(member, ["3", "1"])
    client, other = at(pair, 0), at(pair, 1)
    for node in pair.invokers:
        os.kill(node.pid, 9)
    wait_for(lambda: client.call("GET", "//invokers/healthy/count")[1] == 0, "no node is left")
    accepted = [client.invoke("hello", query="blocking=false") for _ in range(3)]
    assert [status for status, _ in accepted] == [202] * 3, accepted
    later.kill()
    wait_for(lambda: "cannot be taken over" in json.dumps(other.call("GET", "//health")), "the other one says why it waits")
    for node in pair.invokers:
        node.stop()
        node.start()
    later.start()
    for _, answer in accepted:
        assert client.record(answer["activationId"], within_s=60)["response"]["success"]
    assert unread(pair.urls[1]) > 0
