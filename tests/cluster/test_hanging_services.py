"""Services that hang: no connection is refused, nothing is answered. Callers are told why, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster.calls import at
from cluster.test_fleet import HELLO, wait_for
from fleet.fleet import Fleet

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(180)]
_SOON_S = 20.0
"""Long on a machine that does much else at the same time; without any watch it would be a minute."""


@contextmanager
def hanging(fleet: Fleet, name: str) -> Iterator[None]:
    fleet.services[name].pause()
    try:
        yield
    finally:
        fleet.services[name].resume()
        for number in range(2):
            wait_for(lambda n=number: at(fleet, n).call("GET", "//health")[0] == 200, f"controller {number} is well", 60)  # type: ignore[misc]


def soon(call: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
    began = time.monotonic()
    answer = call()
    assert time.monotonic() - began < _SOON_S, answer
    return answer


def test_couchdb(fleet: Fleet) -> None:
    client = at(fleet, 0)
    client.deploy("warm", HELLO)
    assert client.invoke("warm")[0] == 200
    with hanging(fleet, "couchdb"):
        status, answer = soon(lambda: client.call("GET", "/_/activations?limit=5"))
        assert status == 503, answer
        assert "CouchDB" in answer["error"]
        status, answer = soon(lambda: client.call("PUT", "/_/actions/cold?overwrite=true", {"exec": {"kind": "python:default", "code": HELLO}}))
        assert status == 503, answer
        status, health = client.call("GET", "//health")
        assert (status, health["components"]["store"]["ok"]) == (503, False)
        assert "answer" in health["components"]["store"]["detail"]
    assert client.invoke("warm")[0] == 200


def test_consul(fleet: Fleet) -> None:
    """When their leases have run out nodes start nothing; the first caller finds that out, the next are told."""
    client = at(fleet, 0)
    client.deploy("warm", HELLO)
    assert client.invoke("warm")[0] == 200
    with hanging(fleet, "consul"):
        briefly = "blocking=true&timeout=1000"
        wait_for(lambda: client.invoke("warm", {}, briefly)[0] == 503, "callers are refused", 60)
        answers = [soon(lambda: client.invoke("warm", {}, briefly)) for _ in range(3)]
        refused = [answer["error"] for status, answer in answers if status == 503]
        assert len(refused) >= 2, f"one in each lease is let in to find out: {answers}"
        assert all("nodes start nothing while the node registry is out of reach" in text for text in refused)
        status, accepted = soon(lambda: client.invoke("warm", {"name": "kept"}, "blocking=false"))
        assert status == 202, "what nobody waits for is kept"
    assert client.record(accepted["activationId"], within_s=60)["response"]["result"] == {"hello": "kept"}
