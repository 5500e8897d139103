"""What a node tells Consul, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from upwhisk.backends.nodes.consul.link import Link
from upwhisk.backends.nodes.consul.members import Members
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport

NODE = NodeId("a")
FIRST = NodeReport(node=NODE, memory_mb=1, cores=1, incarnation="p.0")
TTL_S = 3.0


class WrittenLink:
    """Writes down what is asked of Consul; `knows_checks`: whether checks that are passed are known to it."""

    problem = None

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.registered: list[dict[str, str]] = []
        self.knows_checks = True

    async def ask(self, question: Callable[[Any], Any], within_s: float = 0.0) -> Any:
        return question(self._client())

    def _client(self) -> Any:
        service = SimpleNamespace(register=self._register)
        return SimpleNamespace(
            kv=SimpleNamespace(put=self._put),
            agent=SimpleNamespace(service=service, check=SimpleNamespace(ttl_pass=self._pass)),
        )

    def _register(self, name: str, *, service_id: str, check: dict[str, Any], meta: dict[str, str]) -> bool:
        self.asked.append(f"register {meta['incarnation']}")
        self.registered.append(meta)
        self.knows_checks = True
        return True

    def _pass(self, check: str) -> bool:
        self.asked.append("pass")
        return self.knows_checks

    def _put(self, key: str, text: bytes) -> bool:
        self.asked.append(f"tell {msgspec.json.decode(text)['incarnation']}")
        return True


def members() -> tuple[Members, WrittenLink]:
    link = WrittenLink()
    return Members(cast(Link, link), "t"), link


async def test_an_incarnation_is_told_when_its_check_is_there() -> None:
    told, link = members()
    await told.renew(FIRST, TTL_S)
    await told.renew(FIRST, TTL_S)
    await told.renew(msgspec.structs.replace(FIRST, incarnation="p.1"), TTL_S)
    assert link.asked == ["register p.0", "pass", "tell p.0", "pass", "register p.1", "pass", "tell p.1"]


async def test_a_consul_that_has_forgotten_is_told_all_again() -> None:
    told, link = members()
    await told.renew(FIRST, TTL_S)
    link.asked.clear()
    link.knows_checks = False
    await told.renew(FIRST, TTL_S)
    assert link.asked == ["pass", "register p.0", "pass", "tell p.0"]


async def test_a_consul_that_was_restored_from_a_copy_is_told_all_again() -> None:
    told, link = members()
    await told.renew(FIRST, TTL_S)
    link.asked.clear()
    told.is_held(NODE, b"what it said a week ago")
    await told.renew(FIRST, TTL_S)
    assert link.asked == ["register p.0", "pass", "tell p.0"]
    first, again = link.registered
    assert first != again, "an agent passes on only what differs from what it passed on before"


async def test_a_node_that_others_do_not_see_is_registered_anew() -> None:
    told, link = members()
    await told.renew(FIRST, TTL_S)
    link.asked.clear()
    told.forget(NODE)
    await told.renew(FIRST, TTL_S)
    assert link.asked == ["register p.0", "pass"]
